"""Contract 10: under `auto` a function means what it means in a loop, as far as its code can tell."""

import asyncio
import inspect
import os
import random
import signal
import sqlite3
import threading
import time

import pytest

import plait
from plait import Placement
from plait.engine import plan
from plait.engine.conductor import Conductor
from plait.errors import CannotTravel

ITEMS = 200
LIST: list[int] = []
LOCAL = threading.local()
RANDOM = random.Random(1)


def burn():
    """Enough work for `auto` to think of worker processes."""
    until = time.thread_time() + 0.002
    while time.thread_time() < until:
        pass


class Stats:
    def __init__(self):
        self.count = 0

    def record(self):
        self.count += 1


STATS = Stats()


def recorded(x):
    burn()
    STATS.record()
    return x


def marked(x):
    burn()
    x.done = True


class Box:
    done = False


def drawn(x):
    burn()
    return RANDOM.random()


def test_an_effect_one_step_away_is_kept():
    run = plait.map(recorded, range(ITEMS))
    assert list(run) == list(range(ITEMS))
    assert STATS.count == ITEMS
    assert "Stats.record changes the global STATS" in run.report.explain()


def test_what_is_done_to_items_is_done_to_the_callers():
    boxes = [Box() for _ in range(ITEMS)]
    run = plait.map(marked, boxes)
    run.wait()
    assert all(box.done for box in boxes)
    assert "changes its items" in run.report.explain()


def test_random_numbers_come_in_the_order_of_a_loop():
    RANDOM.seed(7)
    found = list(plait.map(drawn, range(ITEMS)))
    RANDOM.seed(7)
    assert found == [RANDOM.random() for _ in range(ITEMS)]


# ------------------------------------------------------------------------------------------------ its caller's thread


def test_a_connection_is_used_in_its_own_thread():
    base = sqlite3.connect(":memory:")
    base.execute("create table t (x)")

    def put(x):
        base.execute("insert into t values (?)", (x,))
        return x

    run = plait.map(put, range(50))
    assert list(run) == list(range(50))
    assert base.execute("select count(*) from t").fetchone() == (50,)
    assert run.report.model == "serial"
    base.close()
    assert "in the thread that asks for its results" in run.report.explain()
    base.close()


def alarmed(x):
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, before)
    return x


def tenant(x):
    return getattr(LOCAL, "tenant", None)


@pytest.mark.parametrize("model", ["auto", ("serial", "threads")])
def test_signals_and_attributes_of_a_thread(model):
    LOCAL.tenant = "acme"
    assert list(plait.map(alarmed, range(20), model=model)) == list(range(20))
    assert set(plait.map(tenant, range(20), model=model)) == {"acme"}


# ---------------------------------------------------------------------------------------------- what cannot travel


class Stubborn:
    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        raise TypeError("it stays")


class Unreadable(Stubborn):
    """Can be sent, but not be read."""

    def __reduce__(self):
        return _refuse, (self.value,)


def _refuse(value):
    raise TypeError("it cannot be made again")


def value_of(x):
    burn()
    return getattr(x, "value", x)


def wraps_some(x, kind):
    burn()
    return kind(x) if x % 50 == 0 else x


@pytest.mark.parametrize("kind", [Stubborn, Unreadable])
@pytest.mark.parametrize("ordered", [True, False])
def test_items_that_cannot_travel_run_here(kind, ordered, use_workers):
    items = [kind(x) if x in (100, 101, 150) else x for x in range(ITEMS)]
    run = plait.map(value_of, items, ordered=ordered)
    assert sorted(run) == list(range(ITEMS))
    assert run.report.failures == 0
    assert run.report.model == "processes"
    assert "3 items ran in this process" in run.report.explain()


@pytest.mark.parametrize("kind", [Stubborn, Unreadable])
def test_results_that_cannot_travel_are_made_here(kind, use_workers):
    run = plait.map(lambda x: wraps_some(x, kind), range(ITEMS), retries=1)
    found = [getattr(result, "value", result) for result in run]
    assert found == list(range(ITEMS))
    assert run.report.retries == 0


@pytest.mark.parametrize("model", ["processes", ("processes", "processes+threads")])
def test_where_workers_were_asked_for_that_is_a_failure(model):
    run = plait.map(value_of, [1, Stubborn(2), 3], model=model, on_error="return")
    one, failed, three = run
    assert (one, three) == (1, 3)
    assert isinstance(failed.exception, CannotTravel)


@pytest.fixture
def use_workers(monkeypatch):
    """Have `auto` use worker processes for what computes, however few cores there are, and at once."""

    def chosen(self, evidence):
        found = real(self, evidence)
        return type(found)(Placement("processes", "serial", 2, 1), found.reasons)

    list(plait.map(abs, range(10), model="processes", workers=2))  # warm: else this process runs items meanwhile
    real = plan._Asking.choose
    monkeypatch.setattr(plan._Asking, "choose", chosen)
    monkeypatch.setattr(Conductor, "look", lambda self, late=False: None)


class Elsewhere:
    """Pickles here, but cannot be loaded in a worker."""

    def __call__(self, x):
        burn()
        return x

    def __reduce__(self):
        return _only_here, ()


def _only_here():
    if threading.current_thread() is threading.main_thread() and __name__ not in _loaded:
        raise ImportError("only here")
    return Elsewhere()


_loaded: set[str] = set()


@pytest.fixture
def loaded():
    _loaded.add(__name__)
    yield
    _loaded.clear()


@pytest.mark.parametrize("options", [{}, {"timeout": 20}, {"ordered": False}])
def test_a_function_that_workers_cannot_load_runs_here(options, use_workers, loaded):
    run = plait.map(Elsewhere(), range(ITEMS), **options)
    assert sorted(run) == list(range(ITEMS))
    assert run.report.placement.place == "here"
    assert "only here" in run.report.explain()


def test_where_workers_were_asked_for_a_function_must_load_there(loaded):
    with pytest.raises(CannotTravel, match="only here"):
        list(plait.map(Elsewhere(), range(5), model="processes"))


# ----------------------------------------------------------------------------------------------- PLAIT_MODEL and tuples


def appends(x):
    burn()
    LIST.append(x)
    return x


def test_plait_model_is_in_place_of_auto(monkeypatch):
    monkeypatch.setenv("PLAIT_MODEL", "processes")
    run = plait.map(value_of, range(20))
    assert list(run) == list(range(20))
    assert "PLAIT_MODEL asks for it" in run.report.explain()
    assert run.report.model == "processes"


@pytest.mark.parametrize("names", ["processes", "processes,processes+threads", "threads,processes"])
def test_plait_model_changes_no_meaning(monkeypatch, names):
    monkeypatch.setenv("PLAIT_MODEL", names)
    LIST.clear()
    run = plait.map(appends, range(50))
    assert list(run) == list(range(50))
    assert sorted(LIST) == list(range(50))
    assert "PLAIT_MODEL" in run.report.explain()
    lock = threading.Lock()
    assert list(plait.map(lambda x: (lock, x)[1], range(5))) == list(range(5))


def test_a_tuple_without_this_process_never_runs_in_it():
    def pid(x):
        return os.getpid()

    run = plait.map(pid, range(100), model=("processes", "processes+threads"))
    assert os.getpid() not in set(run)
    LIST.clear()
    run = plait.map(appends, range(100), model=("processes", "processes+threads"))
    assert list(run) == list(range(100))
    assert LIST == []
    assert "its effects stay in the workers" in run.report.explain()


# --------------------------------------------------------------------------------------------------- methods as tasks


class Scale:
    def __init__(self, factor):
        self.factor = factor

    @plait.task(retries=1, model="threads")
    def times(self, x):
        return self.factor * x

    @plait.task
    @staticmethod
    def plain(x):
        return x + 1

    @plait.task
    @classmethod
    def named(cls, x):
        return f"{cls.__name__} {x}"

    @plait.task
    async def later(self, x):
        await asyncio.sleep(0)
        return self.factor * x


def test_methods_are_tasks():
    scale = Scale(3)
    run = scale.times.map(range(4))
    assert list(run) == [0, 3, 6, 9]
    assert run.report.model == "threads"
    assert list(plait.map(scale.times, range(4), model="processes")) == [0, 3, 6, 9]
    assert Scale.times(scale, 2) == scale.times(2) == 6
    assert scale.times.with_(retries=0)(2) == 6
    assert (scale.plain(1), Scale.plain(1)) == (2, 2)
    assert (scale.named(1), Scale.named(2)) == ("Scale 1", "Scale 2")
    for model in ("threads", "processes"):
        assert list(scale.plain.map(range(3), model=model)) == [1, 2, 3]
        assert list(Scale.named.map(range(2), model=model)) == ["Scale 0", "Scale 1"]
    assert list(scale.later.map(range(3))) == [0, 3, 6]


def test_others_see_that_a_task_is_async():
    assert asyncio.iscoroutinefunction(Scale.later)
    assert not asyncio.iscoroutinefunction(Scale.times)
    if hasattr(inspect, "markcoroutinefunction"):  # Python 3.12
        assert inspect.iscoroutinefunction(Scale.later)
