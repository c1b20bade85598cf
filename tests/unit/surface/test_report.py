"""What a run says of itself, read as its user does."""

import json

import pytest

from plait.engine.figures import Figures
from plait.placement import Placement
from plait.surface.report import Report

THREADS = Placement("here", "threads", 1, 8)


def figures(
    placement: Placement | None = THREADS, reasons=("it mostly waits.", "8 threads fit"), seconds=2.0, **counts
) -> Figures:
    made = Figures("fetch", placement=placement, reasons=reasons, **counts)
    made.began, made.ended = 100.0, 100.0 + seconds
    return made


def explained(*args, **kwargs) -> list[str]:
    return Report(figures(*args, **kwargs)).explain().splitlines()


def test_before_anything_ran():
    report = Report(Figures("fetch"))
    assert report.explain() == "fetch: nothing was run yet."
    assert (report.placement, report.model, report.rate, report.wall) == (None, None, 0.0, 0.0)
    json.dumps(report.to_dict())


@pytest.mark.parametrize(
    ("placement", "words"),
    [
        (Placement("here", "serial", 1, 1), "serial, in this process"),
        (THREADS, "threads, 8 in this process"),
        (Placement("here", "loop", 1, 128), "async, 128 at a time on one event loop"),
        (Placement("processes", "serial", 2, 1), "processes, 2 workers"),
        (Placement("processes", "serial", 1, 1), "processes, 1 worker"),
        (Placement("processes", "threads", 2, 8), "processes+threads, 2 workers with 8 at a time each"),
        (Placement("processes", "loop", 1, 64), "processes+async, 1 worker with 64 at a time each"),
    ],
)
def test_the_first_line_names_the_placement_and_why(placement, words):
    assert explained(placement)[0] == f"fetch: {words}, because it mostly waits; 8 threads fit."


def test_without_reasons_it_says_so():
    assert explained(reasons=())[0].endswith("because nothing was measured.")


@pytest.mark.parametrize(
    ("finished", "seconds", "line"),
    [
        (1200, 2.0, "1,200 items in 2.0 s (600/s)."),
        (1, 2.0, "1 item in 2.0 s (0.5/s)."),
        (3, 0.25, "3 items in 250 ms (12/s)."),
        (2, 0.0004, "2 items in under 1 ms (5,000/s)."),
        (10**6, 150.0, "1,000,000 items in 2 min 30 s (6,667/s)."),
    ],
)
def test_the_second_says_how_much_in_which_time(finished, seconds, line):
    assert explained(finished=finished, seconds=seconds)[1] == line


def test_failures_are_told_where_there_were_any_and_where_to_find_them():
    assert explained(failures=1)[2] == "1 failure: see run.failures."
    assert explained(failures=1000, retries=2)[2:4] == ["1,000 failures: see run.failures.", "On the way: 2 retries."]
    assert not any("failure" in line for line in explained(finished=5))


def test_trouble_is_told_where_there_was_any():
    lines = explained(retries=1, crashes=2, timeouts=3, refused_late=1, recycled=2)
    assert lines[2] == "On the way: 1 retry, 2 crashed workers, 3 timeouts, 1 late result, 2 recycled workers."
    assert "On the way: 2 retries." in explained(retries=2)
    assert not any("On the way" in line for line in explained())


def test_what_travelled_is_told_where_anything_did():
    made = {"bytes_out": 3 << 20, "bytes_in": 2048, "cpu": 1.5, "peak_memory": 5 << 30}
    assert explained(**made)[2] == (
        "3.0 MiB went to the workers and 2.0 KiB came back; "
        "the workers took up to 5.0 GiB; the items took 1.5 s of CPU."
    )
    assert explained(bytes_out=10)[2] == "10 B went to the workers and 0 B came back."


class TestBottleneck:
    def said(self, **counts) -> str:
        return Report(figures(**{"read": 1000, **counts})).explain()

    def test_busy_slots_mean_the_function(self):
        words = "The function was the bottleneck: its slots were busy 75 % of the time."
        assert words in self.said(busy=12.0, seats=1)
        assert words in self.said(busy=12.0, seats=1, held=1.5, waited=0.1), "whatever else waited"

    def test_a_consumer_that_hardly_waited_was_it(self):
        words = "The consumer was the bottleneck: it waited for results only 5 % of the time."
        assert words in self.said(busy=4.0, seats=1, waited=0.1, held=1.9)

    def test_a_source_that_was_hardly_held_back_was_it(self):
        words = "The source was the bottleneck: the slots were busy only 25 % of the time, waiting for items."
        assert words in self.said(busy=4.0, seats=1, waited=1.9, held=0.1)

    def test_a_source_that_was_read_in_no_time_was_not(self):
        assert "bottleneck" not in self.said(busy=4.0, seats=1, waited=1.9, held=0.1, reading=0.1)
        assert "The source was" in self.said(busy=4.0, seats=1, waited=1.9, held=0.1, reading=1.5)

    def test_a_stage_is_no_source_and_no_consumer(self):
        assert "bottleneck" not in self.said(busy=4.0, seats=1, waited=1.9, held=0.1, fed=True)
        assert "bottleneck" not in self.said(busy=4.0, seats=1, waited=0.1, held=1.9, feeds=True)

    def test_nobody_was_it_where_both_waited(self):
        said = self.said(busy=4.0, seats=1, waited=1.0, held=1.0)
        assert "The slots were busy only 25 % of the time: sending items and results took the rest." in said
        assert "bottleneck" not in said

    def test_nobody_was_it_where_items_were_too_few_for_the_slots(self):
        assert "bottleneck" not in self.said(busy=4.0, seats=1, waited=1.9, held=0.1, read=20)

    def test_seats_share_the_time(self):
        two = Placement("processes", "serial", 2, 1)
        assert "its slots were busy 50 % of the time" in self.said(placement=two, busy=2.0, seats=2)

    @pytest.mark.parametrize("why", [{"seconds": 0.4}, {"busy": 0.0}, {"placement": Placement("here", "loop", 1, 8)}])
    def test_nothing_is_said_where_nothing_is_known(self, why):
        assert "bottleneck" not in self.said(**{"busy": 1.0, **why})
        assert "slots" not in self.said(**{"busy": 1.0, **why})

    def test_no_slot_is_busy_for_longer_than_there_was(self):
        assert "busy 100 % of the time" in self.said(busy=16.5, seats=1)


def test_the_dict_is_json_and_complete():
    made = figures(finished=4, failures=1, retries=2, crashes=3, read=5, total=5, busy=1.0, cpu=0.5)
    made.chose(THREADS, ["it waits"])
    told = json.loads(json.dumps(Report(made).to_dict()))
    assert told["placement"] == {"place": "here", "style": "threads", "workers": 1, "width": 8}
    assert (told["stage"], told["model"], told["reasons"]) == ("fetch", "threads", ["it waits"])
    assert (told["items"], told["failures"], told["retries"], told["crashes"], told["total"]) == (4, 1, 2, 3, 5)
    assert (told["items_per_second"], told["wall_seconds"]) == (2.0, 2.0)
    assert told["changes"][0]["model"] == "threads"


def test_its_figures_are_live():
    made = figures()
    report = Report(made)
    made.finished, made.failures = 7, 2
    assert (report.items, report.failures, report.rate) == (7, 2, 3.5)
    assert repr(report) == "<Report fetch: threads, 7 items, 2 failures>"


def test_its_placement_can_be_pasted():
    placement = Report(figures()).placement
    assert eval(repr(placement)) == placement


def test_printed_it_explains():
    report = Report(figures())
    assert str(report) == report.explain()


def test_rich_and_notebooks_get_a_table():
    from rich.console import Console

    report = Report(figures(finished=1200, reasons=("x < y & z",)))
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(report)
    text = console.export_text()
    assert "plait: fetch" in text
    assert "1,200" in text
    html = report._repr_html_()
    assert "x &lt; y &amp; z" in html
    assert "<td>1,200</td>" in html


def test_a_report_of_nothing_has_a_table_too():
    assert "not chosen yet" in Report(Figures("fetch"))._repr_html_()
