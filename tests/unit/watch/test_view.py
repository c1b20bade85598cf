"""What is shown of a run: rates, time left, the end; in words."""

from dataclasses import replace

from plait.watch.standing import Standing
from plait.watch.view import View


class Looked:
    """A view whose stages are set by the test; it began at 0."""

    def __init__(self, *stages, total=None, slowest=""):
        self.stages = list(stages)
        self.view = View(lambda: self.stages, lambda: slowest, total, 0.0)

    def at(self, now, *counts):
        self.stages = [replace(stage, finished=count) for stage, count in zip(self.stages, counts, strict=True)]
        return self.view.rows(now)


def test_time_left():
    looked = Looked(Standing("parse", total=110))
    assert looked.at(1.0, 0)[0].left is None
    assert looked.at(2.0, 20)[0].left == 9.0
    assert looked.at(3.0, 200)[0].left == 0  # the total was an estimate


def test_each_stage_has_a_rate_of_its_own():
    looked = Looked(Standing("fetch"), Standing("parse"))
    assert [row.rate for row in looked.at(2.0, 20, 10)] == [10.0, 5.0]


def test_what_is_known_of_the_source_is_the_first_stages():
    looked = Looked(Standing("fetch"), Standing("parse"), total=50)
    assert [row.at.total for row in looked.at(1.0, 1, 1)] == [50, None]


def test_a_stage_that_is_over_has_the_rate_of_all_of_it():
    looked = Looked(Standing("fetch", total=100, seconds=4.0, ended=True), Standing("parse", total=100))
    first, second = looked.at(10.0, 100, 50)
    assert (first.rate, first.left) == (25.0, None)
    assert (second.rate, second.left) == (5.0, 10.0)


def test_the_end():
    looked = Looked(Standing("parse", total=1500))
    looked.at(10.0, 1000)
    looked.view.done = True
    (row,) = looked.at(20.0, 1000)
    assert (row.rate, row.left, row.at.total) == (50.0, None, 1000)


def test_nothing_is_known_yet():
    assert View(list, lambda: "", None, 0.0).words(1.0) == "plait: 0 items, 0.0/s, 0:01 gone"


def test_words_of_one_stage():
    looked = Looked(Standing("parse", total=1010, failures=2, model="threads x 8"))
    looked.at(1.0, 5)
    looked.at(2.0, 10)
    expected = "parse: 10 of 1,010 items, 5.0/s, 0:02 gone, 3:20 left, threads x 8, 2 failed"
    assert looked.view.words(2.0) == expected


def test_words_of_a_flow():
    fetch, parse = Standing("fetch", total=40, model="async x 128"), Standing("parse", crashes=1)
    looked = Looked(fetch, parse, slowest="parse")
    looked.at(2.0, 20, 10)
    expected = "plait: 0:02 gone; fetch 20 of 40, 10/s, 0:02 left, async x 128; parse 10, 5.0/s, 1 crashed (bottleneck)"
    assert looked.view.words(2.0) == expected


def test_words_of_a_flow_that_its_source_holds_up():
    looked = Looked(Standing("fetch"), Standing("parse"), slowest="source")
    assert looked.view.words(2.0).endswith("; the source is the bottleneck")
