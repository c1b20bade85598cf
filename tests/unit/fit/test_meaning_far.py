"""Effects one or several steps away from the function, and what keeps it in its caller's thread."""

import bisect
import collections
import contextlib
import functools
import heapq
import io
import itertools
import logging
import math
import operator
import os
import random
import re
import signal
import sqlite3
import sys
import threading
import time
from typing import ClassVar
from unittest import mock

import numpy as np
import pytest

from plait.fit import meaning
from plait.fit.meaning import pin, pins, runs_alone, stays_here
from plait.surface.shapes import filtering, tapping
from tests.unit.fit import following
from tests.unit.fit.following import add, counted, largest, remembered, squared, squared_by_trying, squared_too, tool

LIST: list[object] = []
OTHER: list[object] = []
TABLE: dict[object, object] = {"list": [], "it": iter(range(3))}
PAIR: tuple[list[object], list[object]] = ([], [])
HEAP: list[object] = []
OUT = np.zeros(3)
TEXT = io.StringIO()
LOG = logging.getLogger("planted.far")
LOCAL = threading.local()
HANDLERS = {"a": following.note, "b": squared}


class Stats:
    made = 0
    kinds: ClassVar[dict[str, int]] = {}

    def __init__(self):
        self.n = 0
        self.seen = []
        type(self).made += 1

    def record(self, x):
        self._in(x)

    def _in(self, x):
        self.n += 1

    def depth(self, x):
        return self.n + x

    @classmethod
    def put(cls, x):
        cls.kinds[x] = 1

    @staticmethod
    def static(x):
        Stats.kinds[x] = 1

    def of_class(self, x):
        self.__class__.made += 1

    def of_type(self, x):
        type(self).made += 1

    @property
    def next(self):
        self.n += 1
        return self.n

    def __next__(self):
        self.n += 1
        return self.n

    def __call__(self, x):
        self.seen.append(x)


class Child(Stats):
    def record(self, x):
        return super().record(x)


class Slotted:
    __slots__ = ("lock", "n")


STATS, CHILD, LAZY = Stats(), Child(), following.Lazy()
NOTED = LIST.append
PUT = functools.partial(add, LIST)


def one(x):
    two(x)


def two(x):
    three(x)


def three(x):
    LIST.append(x)


def decorated(fn):
    def wrapper(*args, **kwargs):
        return fn(*args, **kwargs)

    return wrapper


@decorated
@decorated
def twice_decorated(x):
    LIST.append(x)


def in_place(x):
    mine = LIST
    mine += [x]


def unpacked(x):
    first, _ = PAIR
    first.append(x)


def in_a_loop(x):
    for one in (LIST, OTHER):
        one.append(x)


def in_a_with(x):
    with contextlib.nullcontext(LIST) as mine:
        mine.append(x)


def view(x):
    part = OUT[:2]
    part += x


def callback(x, say=three):
    say(x)


def by_globals(x):
    globals()["n"] = x


def made_one(x):
    return Stats()


def of_elements(x):
    for one in PAIR:
        one.append(x)


GRID = np.zeros((4, 4))
BYTES = bytearray(4)
#: A number for each word, by the words that came before it.
VOCABULARY = collections.defaultdict(lambda: len(VOCABULARY))
NUMBERS = collections.defaultdict(itertools.count(1).__next__)
COUNTS = collections.defaultdict(int)
DEFAULTS = collections.defaultdict(lambda: 0)


class Filling(dict):
    def __missing__(self, key):
        self[key] = len(self)
        return self[key]


FILLING = Filling()


def through_a_memoryview(x):
    memoryview(BYTES)[0] = 1


STAY = {
    "a method of a global": lambda x: STATS.record(x),
    "super()": CHILD.record,
    "super() of a global": lambda x: CHILD.record(x),
    "a class method": lambda x: Stats.put(x),
    "a static method": lambda x: Stats.static(x),
    "type(self)": STATS.of_type,
    "self.__class__": STATS.of_class,
    "a property": lambda x: STATS.next,
    "a callable object": lambda x: STATS(x),
    "an __init__": made_one,
    "an argument of a helper": lambda x: add(LIST, x),
    "by keyword": lambda x: add(into=LIST, x=x),
    "another module": lambda x: following.bump(),
    "a list of another module": lambda x: following.note(x),
    "a class of another module": lambda x: setattr(following.Settings, "total", x),
    "four calls away": one,
    "decorated twice": twice_decorated,
    "a partial": lambda x: PUT(x),
    "a bound method": lambda x: NOTED(x),
    "a default": callback,
    "a table of functions": lambda x: HANDLERS[x](x),
    "globals()": by_globals,
    "+=": in_place,
    "unpacked": unpacked,
    "in a loop": in_a_loop,
    "elements": of_elements,
    "in a with": in_a_with,
    "get": lambda x: TABLE.get("list").append(x),
    "an array's view": view,
    "out=": lambda x: np.add(OUT, 1, out=OUT),
    "copyto": lambda x: np.copyto(OUT[:1], 1),
    "fill": lambda x: OUT.fill(x),
    "ufunc.at": lambda x: np.add.at(OUT, 1, x),
    "heapq": lambda x: heapq.heappush(HEAP, x),
    "bisect": lambda x: bisect.insort(HEAP, x),
    "operator": lambda x: operator.setitem(TABLE, x, 1),
    "setattr": lambda x: setattr(STATS, "n", x),
    "list.append": lambda x: list.append(LIST, x),
    "random.shuffle": lambda x: random.shuffle(LIST),
    "print to a buffer": lambda x: print(x, file=TEXT),
    "next of an element": lambda x: next(TABLE["it"]),
    "next of an object": lambda x: next(STATS),
    "a sum in a dict": lambda x: counted(x),
    "a largest so far": lambda x: largest(x),
    "a first one": lambda x: remembered(x),
    "a number for each word": lambda x: VOCABULARY[x],
    "the next number": lambda x: NUMBERS[x],
    "__missing__": lambda x: FILLING[x],
    "reshape": lambda x: operator.setitem(GRID.reshape(-1), 0, x),
    "ravel": lambda x: operator.setitem(GRID.ravel(), 0, x),
    "an array's T": lambda x: operator.setitem(GRID.T, 0, x),
    "flat": lambda x: operator.setitem(GRID.flat, 0, x),
    "asarray": lambda x: operator.setitem(np.asarray(GRID), 0, x),
    "a memoryview": through_a_memoryview,
}


@pytest.mark.parametrize("fn", STAY.values(), ids=STAY)
def test_what_happens_further_away_is_seen(fn):
    assert stays_here(fn) is not None


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: COUNTS[x],
        lambda x: DEFAULTS[x],
        lambda x: GRID.T[0, 0] + x,
        lambda x: np.asarray(GRID)[0, 0],
        lambda x: GRID.reshape(-1)[0],
    ],
    ids=["a count", "a constant", "T", "asarray", "reshape"],
)
def test_what_is_only_read_goes_anywhere(fn):
    assert stays_here(fn) is None


def test_the_reason_names_who_does_it_to_what():
    assert stays_here(one) == "three changes the global LIST"
    assert stays_here(lambda x: STATS.record(x)) == "Stats._in changes the global STATS"
    assert stays_here(lambda x: add(LIST, x)) == "add changes the global LIST"
    assert stays_here(lambda x: following.bump()) == "bump writes the global COUNT"


def closed_over(value):
    return lambda x: value(x)


def test_a_bound_method_of_a_list_is_that_list():
    assert stays_here(closed_over([].append)) == "the closed-over value changes a list of its caller's"
    assert stays_here(closed_over({}.get)) is None
    assert stays_here([].append) is not None


@pytest.mark.parametrize("kind", [random.Random, np.random.default_rng, np.random.RandomState])
def test_a_generator_of_random_numbers_stays(kind):
    generator = kind(1)

    class Simulation:
        def __init__(self):
            self.rng = generator

        def run(self, x):
            return self.rng.random()

    for fn in (lambda x: generator.random(), Simulation().run, closed_over(generator.random), generator.random):
        assert "random number generator" in (stays_here(fn) or "")
        assert runs_alone(fn)


def test_random_numbers_of_the_process_travel():
    draw = random.random
    for fn in (lambda x: random.random(), lambda x: np.random.rand(), lambda x: draw(), random.SystemRandom().random):
        assert stays_here(fn) is None


# ----------------------------------------------------------------------------------------------- what changes its items


def marks(x):
    x.done = True


def marks_and_says_so(x):
    x["n"] += 1
    return True


def marks_by_a_helper(x):
    marks(x)


def sorts(x):
    return x.sort()


def adds_a_column(x):
    x["sum"] = sum(x.values())
    return x


def works_on_its_item(x):
    x.pop("id")
    return sorted(x)


def yields(x):
    x.done = True
    yield x


@pytest.mark.parametrize("fn", [marks, marks_and_says_so, marks_by_a_helper, sorts])
def test_what_only_changes_its_items_stays(fn):
    assert "its items" in (stays_here(fn) or "")
    assert runs_alone(fn) is None


@pytest.mark.parametrize("fn", [adds_a_column, works_on_its_item, yields, tapping(marks), filtering(marks_and_says_so)])
def test_what_gives_back_something_travels(fn):
    assert stays_here(fn) is None


# ---------------------------------------------------------------------------------------------------- what only caches


@functools.lru_cache
def cached(x):
    return x * x


def logs(x):
    LOG.info("item %s", x)
    return re.compile("a+").findall(x)


def sets_the_environment(x):
    os.environ["PLANTED"] = x


def copies(x):
    mine = LIST[:]
    mine.append(x)
    again = TABLE.copy()
    again[x] = 1
    total = OUT[0]
    total += 1
    return mine, again, total


TRAVEL = {
    "in": lambda x: squared(x),
    "get": lambda x: squared_too(x),
    "try": lambda x: squared_by_trying(x),
    "made once": lambda x: tool()["a"],
    "made once by an object": lambda x: LAZY.use(x),
    "lru_cache": lambda x: cached(x),
    "reads": lambda x: STATS.depth(x) + following.Settings.depth,
    "its own list": lambda x: add([], x),
    "its own object": lambda x: following.Lazy().made(),
    "logs": logs,
    "environment": sets_the_environment,
    "a mock elsewhere": lambda x: os.path.join("a", x),
    "copies": copies,
}


@pytest.mark.parametrize("fn", TRAVEL.values(), ids=TRAVEL)
def test_what_only_caches_or_reads_may_travel(fn):
    assert stays_here(fn) is None
    assert list(meaning._pins(fn)) == []  # and that is no error


def test_a_class_that_says_how_it_is_copied_may_hold_a_lock():
    class Guarded:
        def __init__(self):
            self.lock = threading.Lock()

        def __getstate__(self):
            return {}

        def run(self, x):
            return x

    assert stays_here(Guarded().run) is None


def test_what_is_replaced_in_another_module_stays(monkeypatch):
    with mock.patch("tests.unit.fit.following.bump"), mock.patch("math.hypot"), mock.patch("time.time"):
        for fn in (lambda x: following.bump(), lambda x: math.hypot(x), lambda x: time.time()):
            assert "a mock" in (stays_here(fn) or "")

    def mine(x):
        return x

    monkeypatch.setattr(mine, "__module__", "__main__")
    monkeypatch.setattr(math, "hypot", mine)
    assert "this program has put there" in (stays_here(lambda x: math.hypot(x)) or "")


def test_what_is_printed_into_memory_is_printed_here():
    def says(x):
        print(x)

    assert stays_here(says) is None
    with contextlib.redirect_stdout(io.StringIO()):
        assert "prints" in (stays_here(says) or "")
    assert stays_here(lambda x: print(x, file=sys.stderr)) is None


# ------------------------------------------------------------------------------------------------- its caller's thread


def alarms(x):
    old = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, old)


def sends(x):
    os.kill(x, signal.SIGTERM)


def tenant(x):
    return getattr(LOCAL, "tenant", "nobody")


def tenant_of(x):
    return LOCAL.tenant


def session(x):
    if not hasattr(LOCAL, "session"):
        LOCAL.session = object()
    return LOCAL.session


class Sessions(threading.local):
    def __init__(self):
        self.session = object()


SESSIONS = Sessions()


def test_what_works_in_one_thread_is_pinned_to_it():
    with contextlib.closing(sqlite3.connect(":memory:")) as base:

        class Table:
            def __init__(self):
                self.base = base

            def put(self, x):
                self.base.execute("", x)

        for fn in (lambda x: base.execute("", x), Table().put, lambda x, to=base: to, alarms, tenant, tenant_of):
            found = pin(fn, thread=True)
            assert found is not None
            assert found.alone
    assert pin(alarms, thread=True).reason == "alarms calls signal.signal, which the main thread has to"
    assert pin(tenant, thread=True).reason == ("tenant reads the global LOCAL.tenant, which each thread has its own of")


@pytest.mark.parametrize("fn", [sends, session, lambda x: SESSIONS.session, three])
def test_what_works_in_any_thread_is_not(fn):
    assert pin(fn, thread=True) is None


# --------------------------------------------------------------------------------------------------------------- bounds


def test_recursion_ends():
    def even(x):
        return x == 0 or odd(x - 1)

    def odd(x):
        return x != 0 and even(x - 1)

    assert stays_here(even) is None


def test_all_is_looked_for_at_once():
    assert pins(alarms).thread == pins(alarms).alone == pins(alarms).here
    assert (pins(three).here, pins(three).alone) == (pin(three), None)
    assert pins(cached) == (None, None, None)


def test_very_many_functions_are_not_all_followed():
    def made(further):
        return lambda x: further and further(x)

    fn = functools.reduce(lambda further, _: made(further), range(5000), None)
    assert stays_here(fn) is None


def test_what_a_library_keeps_count_of_pins_nothing():
    """A decorator of another package that counts its calls."""
    counter = itertools.count()
    source = "def counting(fn):\n def wrapper(*args):\n  wrapper.calls += 1\n  return fn(*args)\n return wrapper\n"
    names: dict[str, object] = {"__name__": "library"}
    exec(compile(source, "/usr/lib/python3/site-packages/library.py", "exec"), names)
    wrapper = names["counting"](cached.__wrapped__)
    wrapper.__wrapped__ = cached.__wrapped__
    assert stays_here(wrapper) is None
    wrapper.__wrapped__ = lambda x: next(counter)
    assert stays_here(wrapper) is not None
    assert collections.Counter is not None
