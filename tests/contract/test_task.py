"""`plait.task`, `Placement` and models of third parties."""

import asyncio
import pickle
import time

import pytest

import plait
from plait import OptionError, Placement
from plait.placement import models
from tests.contract.models import cases


@plait.task(retries=2, on_error="skip")
def halve(x):
    """Half of it."""
    if x % 2:
        raise ValueError(x)
    return x // 2


@plait.task
async def later(x):
    await asyncio.sleep(0)
    return x + 1


def test_a_task_is_called_as_it_was():
    assert halve(8) == 4
    assert (halve.__name__, halve.__doc__) == ("halve", "Half of it.")
    assert asyncio.run(later(1)) == 2
    with pytest.raises(ValueError, match="3"):
        halve(3)


@cases(lambda case: not case.is_async)
def test_a_task_brings_its_options(case):
    for run in (halve.map(range(6), model=case.model), plait.map(halve, range(6), model=case.model)):
        assert list(run) == [0, 1, 2]
        assert run.report.retries == 6
        assert run.report.failures == 3


@cases(lambda case: not case.is_async)
def test_options_of_the_call_win(case):
    results = list(halve.map(range(2), model=case.model, on_error="return", retries=0))
    assert results[0] == 0
    assert results[1].attempts == 1


@cases(lambda case: case.is_async)
def test_an_async_task(case):
    assert list(later.map(range(20), model=case.model)) == list(range(1, 21))


def test_with_makes_another_and_leaves_the_first():
    other = halve.with_(retries=0, timeout=5)
    assert other is not halve
    assert next(iter(other.map([1], on_error="return"))).attempts == 1
    assert next(iter(halve.map([1], on_error="return"))).attempts == 3
    assert other(8) == 4
    assert repr(other) == "<task halve(retries=0, on_error='skip', timeout=5)>"


class Scale:
    def __init__(self, factor):
        self.factor = factor

    @plait.task(retries=1)
    def times(self, x):
        return self.factor * x

    @plait.task(model="threads")
    @staticmethod
    def plain(x):
        return x + 1


def test_a_method_can_be_a_task():
    assert Scale(3).times(4) == 12
    assert list(plait.map(Scale(3).times, range(5))) == [0, 3, 6, 9, 12]


@cases(lambda case: not case.is_async)
def test_a_method_as_a_task_under_every_model(case):
    assert list(plait.map(Scale(3).times, range(5), model=case.model)) == [0, 3, 6, 9, 12]


def test_a_task_travels_by_name():
    again = pickle.loads(pickle.dumps(halve))
    assert again(8) == 4
    assert again.__plait_options__ == halve.__plait_options__


@cases()
def test_tasks_call_other_tasks(case):
    assert list(case.map(lambda x: halve(x * 2), range(10))) == list(range(10))


PLACEMENTS = [
    Placement("here", "serial"),
    Placement("here", "threads", width=3),
    Placement("processes", "serial", workers=1),
    Placement("processes", "threads", workers=2, width=2),
]


@pytest.mark.parametrize("placement", PLACEMENTS, ids=repr)
def test_a_placement_is_a_model(placement):
    run = plait.map(abs, range(50), model=placement)
    assert list(run) == list(range(50))
    chosen = run.report.placement
    assert (chosen.place, chosen.style) == (placement.place, placement.style)
    assert chosen.workers == (placement.workers or 1)
    assert placement.width in (None, chosen.width)


@pytest.mark.parametrize(
    "placement", [Placement("here", "loop", width=2), Placement("processes", "loop", 1, 5)], ids=repr
)
def test_a_placement_with_a_loop(placement):
    run = later.map(range(50), model=placement)
    assert list(run) == list(range(1, 51))
    assert run.report.placement == Placement(placement.place, placement.style, 1, placement.width)


def test_auto_among_some_models():
    run = plait.map(abs, range(3000), model=("serial", "threads"))
    assert list(run) == list(range(3000))
    assert run.report.model in ("serial", "threads")


@pytest.fixture
def third_party():
    models.register("pair", lambda: Placement("here", "threads", width=2))
    yield
    models._known.pop("pair")


def test_a_model_of_a_third_party(third_party):
    run = plait.map(abs, range(20), model="pair")
    assert list(run) == list(range(20))
    assert run.report.placement == Placement("here", "threads", 1, 2)
    with pytest.raises(OptionError, match="registered already"):
        models.register("pair", lambda: Placement("here", "serial"))
    with pytest.raises(plait.UnknownOption, match="Did you mean 'pair'"):
        plait.map(abs, range(3), model="pairs")


@cases(lambda case: case.style not in ("serial", "") and case.model not in ("auto", "serial"))
def test_width_is_how_many_run_at_once(case, calls):
    """At most so many in each worker, and as many as that."""
    state = {"now": 0, "most": 0}

    async def counts_async(x):
        state["now"] += 1
        state["most"] = max(state["most"], state["now"])
        await asyncio.sleep(0.02)
        state["now"] -= 1
        return state["most"]

    def counts(x):
        state["now"] += 1
        state["most"] = max(state["most"], state["now"])
        time.sleep(0.02)
        state["now"] -= 1
        return state["most"]

    fn = counts_async if case.is_async else counts
    run = plait.map(fn, range(40), model=case.model, workers=1, width=3)
    assert max(run) == 3
