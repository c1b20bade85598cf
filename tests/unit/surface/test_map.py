"""From a call of `plait.map` to a run: what is checked, and what the function is taken for."""

from functools import partial

import pytest

from plait.errors import OptionError, UnknownOption
from plait.surface.calls import Spread, is_async
from plait.surface.map import map, starmap
from plait.surface.task import task


async def fetch(url):
    return url


def double(x):
    return 2 * x


class Fetches:
    async def __call__(self, url):
        return url

    async def method(self, url):
        return url


class Doubles:
    def __call__(self, x):
        return 2 * x


def used(run):
    """The run, which was made to be looked at."""
    run.cancel()
    return run


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (fetch, True),
        (partial(fetch, timeout=3), True),
        (partial(partial(fetch)), True),
        (Fetches(), True),
        (Fetches().method, True),
        (task(fetch), True),
        (Spread(fetch), True),
        (Spread(partial(task(fetch))), True),
        (double, False),
        (Doubles(), False),
        (task(double), False),
        (Spread(double), False),
        (str, False),
        (Fetches, False),
    ],
)
def test_whether_a_call_gives_a_coroutine(function, expected):
    assert is_async(function) is expected


@pytest.mark.parametrize(
    ("function", "name"),
    [(double, "double"), (partial(double), "double"), (Doubles(), "Doubles"), (len, "len"), (task(double), "double")],
)
def test_a_stage_is_called_like_its_function(function, name):
    assert used(map(function, [])).report.to_dict()["stage"] == name
    assert used(starmap(function, [])).report.to_dict()["stage"] == name
    assert used(map(function, [], name="mine")).report.to_dict()["stage"] == "mine"


class TestChecked:
    """At the call, not when the run begins."""

    @pytest.mark.parametrize("function", [None, "double", [1, 2]])
    def test_the_function(self, function):
        with pytest.raises(TypeError, match=rf"a function first, then the items; got '{type(function).__name__}'"):
            map(function, double)

    def test_the_items(self):
        with pytest.raises(TypeError, match="takes an iterable of items; got 'int'"):
            map(double, 3)

    @pytest.mark.parametrize("progress", ["yes", 2, "auto"])
    def test_the_progress(self, progress):
        with pytest.raises(OptionError, match=r"takes True, False or None \(in notebooks only\)"):
            map(double, [1], progress=progress)

    def test_the_name(self):
        with pytest.raises(OptionError, match="it takes a string"):
            map(double, [1], name=3)

    def test_the_options(self):
        with pytest.raises(UnknownOption, match="retries"):
            map(double, [1], retry=3)

    def test_a_thing_with_items_by_number_will_do(self):
        class Old:
            def __getitem__(self, at):
                return [5, 6][at]

        assert list(map(double, Old(), model="serial")) == [10, 12]


def test_starmap_unpacks_each_item():
    assert list(starmap(pow, [(2, 3), [5, 2], "ab"[:0] or (3, 1)], model="serial")) == [8, 25, 3]


def test_starmap_passes_resources_by_name():
    def scaled(x, y, factor):
        return (x + y) * factor

    assert list(starmap(scaled, [(1, 2)], model="serial", resources={"factor": lambda: 10})) == [30]


def test_a_tasks_options_are_the_maps_own_come_first():
    scale = task(name="scaled", model="serial", on_error="skip")(lambda x: 10 // x)
    run = map(scale, [0, 5])
    assert list(run) == [2]
    assert (run.report.model, run.report.to_dict()["stage"]) == ("serial", "scaled")
    with pytest.raises(ZeroDivisionError):
        list(map(scale, [0], on_error="raise"))
