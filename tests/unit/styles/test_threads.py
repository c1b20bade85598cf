"""Several items at once, each share in a thread."""

import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from typing import Any
from unittest.mock import ANY

import pytest

from plait.styles.batch import Batch
from plait.styles.threads import ThreadsRunner, inside

WAIT = 5.0
colour: ContextVar[str] = ContextVar("colour", default="none")


class Bench:
    """A runner with what it emits; `next()` is the next batch."""

    def __init__(self, function: Callable[[Any], Any], width: int = 1, **resources: Any) -> None:
        self.words = [0] * width
        self.batches: SimpleQueue[Batch] = SimpleQueue()
        self.broken: SimpleQueue[BaseException] = SimpleQueue()
        self.runner = ThreadsRunner(
            function, resources, width, self.words, self.batches.put, self.broken.put, copy_context(), "bench"
        )

    def put(self, first: int, items: Any, grain: int = 1) -> None:
        self.runner.put(first, items, grain, float("inf"))

    def next(self) -> Batch:
        return self.batches.get(timeout=WAIT)

    def values(self, count: int) -> list[Any]:
        found: list[Any] = []
        while len(found) < count:
            found += self.next().values
        return found

    @property
    def threads(self) -> list[str]:
        return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("bench-"))


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*args: Any, **kwargs: Any) -> Bench:
        made.append(Bench(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        assert one.runner.close(WAIT) == []


def double(item):
    return item * 2


def test_no_thread_is_started_before_it_is_needed(bench):
    one = bench(double, 4)
    assert one.threads == []
    one.put(0, [1])
    assert one.next().values == [2]
    assert one.threads == ["bench-0"]


def test_one_after_the_other_needs_one_thread(bench, until):
    one = bench(double, 4)
    for at in range(5):
        one.put(at, [at])
        assert one.next() == (at, [at * 2], [], None, pytest.approx(0, abs=1), None, ANY)
        until(lambda: not one.runner._unfinished, what="the end of the share")
    assert one.threads == ["bench-0"]


def test_it_grows_to_its_width_and_no_further(bench):
    together = threading.Barrier(3)
    one = bench(lambda item: together.wait(WAIT), 3)
    one.put(0, list(range(6)))
    assert sorted(one.values(6)) == [0, 0, 1, 1, 2, 2]  # six items met in threes: three ran at once, twice
    assert len(one.threads) == 3


def test_a_share_is_run_by_one_thread_in_order(bench):
    one = bench(lambda item: (item, threading.current_thread().name), 2)
    one.put(10, list(range(6)), grain=3)
    batches = sorted([one.next(), one.next()])
    assert [(batch.first, [item for item, _ in batch.values]) for batch in batches] == [
        (10, [0, 1, 2]),
        (13, [3, 4, 5]),
    ]
    assert all(len({name for _, name in batch.values}) == 1 for batch in batches)


def test_words_tell_what_each_thread_has_in_hand(bench, until):
    together, go = threading.Barrier(3), threading.Event()

    def function(item):
        together.wait(WAIT)
        go.wait(WAIT)

    one = bench(function, 2)
    one.put(100, ["a", "b"])
    together.wait(WAIT)
    assert sorted(one.words) == [101, 102]
    go.set()
    one.values(2)
    until(lambda: one.words == [0, 0], what="empty slots")


def test_each_thread_has_its_own_resource_and_closes_it():
    opened, closed, together = [], [], threading.Barrier(2)

    class Handle:
        def __init__(self):
            self.thread = threading.get_ident()
            opened.append(self)

        def close(self):
            closed.append((self, threading.get_ident()))

    def function(item, handle):
        together.wait(WAIT)
        return handle.thread == threading.get_ident()

    one = Bench(function, 2, handle=Handle)
    one.put(0, range(2))
    assert one.values(2) == [True, True]
    assert one.runner.close(WAIT) == []
    assert len(opened) == 2
    assert {handle for handle, _ in closed} == set(opened)
    assert all(handle.thread == ident for handle, ident in closed), "closed by the thread that opened it"


def test_a_resource_that_cannot_be_opened_breaks_the_work(bench):
    def refuse():
        raise ConnectionError("no database")

    one = bench(double, 2, db=refuse)
    one.put(0, [1])
    assert str(one.broken.get(timeout=WAIT)) == "no database"


def test_contextvars_of_the_caller_are_seen_and_none_leaks(bench):
    def function(item):
        before = colour.get()
        colour.set(f"set by {item}")
        return before, inside.get()

    token = colour.set("callers")
    try:
        one = bench(function, 1)
    finally:
        colour.reset(token)
    one.put(0, [0])
    one.put(1, [1])
    assert one.values(2) == [("callers", True), ("callers", True)]
    assert inside.get() is False


def test_an_error_is_the_items_alone(bench):
    one = bench(lambda item: 1 // item, 1)
    one.put(0, [0, 1], grain=2)
    batch = one.next()
    assert batch.values == [None, 1]
    assert [type(failed.error) for _, failed in batch.errors] == [ZeroDivisionError]


def test_close_begins_nothing_more_and_ends_every_thread(until):
    began, go, ran = threading.Event(), threading.Event(), []

    def function(item):
        ran.append(item)
        began.set()
        go.wait(WAIT)

    one = Bench(function, 1)
    one.put(0, [0, 1, 2])
    assert began.wait(WAIT)
    assert [thread.name for thread in one.runner.close(0.0)] == ["bench-0"], "it names what is stuck"
    one.put(3, [3])
    go.set()
    assert one.runner.close(WAIT) == []
    assert one.threads == []
    assert ran == [0]


def test_close_from_one_of_its_own_threads_does_not_wait_for_itself(bench):
    stuck: SimpleQueue[list] = SimpleQueue()
    one = Bench(lambda item: stuck.put(one.runner.close(WAIT)), 1)
    one.put(0, [0])
    assert stuck.get(timeout=WAIT) == []
    assert one.runner.close(WAIT) == []


class TestResize:
    """Its width changes while it runs."""

    def test_it_grows(self, bench):
        together = threading.Barrier(5)
        one = bench(lambda item: together.wait(WAIT), 2)
        one.put(0, list(range(5)))
        one.runner.resize(5)
        assert sorted(one.values(5)) == [0, 1, 2, 3, 4]
        assert len(one.words) == 5

    def test_it_shrinks_once_items_are_done(self, bench, until):
        go, active, most = threading.Semaphore(0), [], []

        def counted(item):
            active.append(item)
            most.append(len(active))
            go.acquire(timeout=WAIT)
            active.remove(item)
            return item

        one = bench(counted, 4)
        one.put(0, list(range(20)))
        until(lambda: len(active) == 4, what="four at once")
        one.runner.resize(2)
        go.release(4)
        assert len(one.values(4)) == 4
        until(lambda: len(active) == 2, what="two at once")
        most.clear()
        go.release(30)
        assert sorted(one.values(16)) is not None
        assert max(most, default=0) <= 2
        until(lambda: len(one.threads) <= 2, what="the others to have left")

    def test_up_and_down_again_leaves_every_slot_its_word(self, bench):
        one = bench(lambda item: item, 3)
        for at, width in enumerate([1, 3, 1, 4, 2, 8, 1, 8] * 5):
            one.runner.resize(width)
            one.put(100 * at, list(range(20)))
        assert len(one.values(800)) == 800
        assert one.broken.empty()
