"""One item after the other: what is emitted, and when."""

import gc
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Any
from unittest.mock import ANY

import pytest

from plait.errors import FunctionStopped
from plait.styles.batch import Batch
from plait.styles.serial import FLUSH, Streaming, run_items

WAIT = 5.0
colour: ContextVar[Any] = ContextVar("colour", default="none")


class Clock:
    """Stands still but for what items take."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(
    function: Callable, items, clock: Clock, first: int = 0, budget: float = float("inf"), words=None
) -> list[Batch]:
    batches: list[Batch] = []
    run_items(function, items, first, [0] if words is None else words, 0, batches.append, budget, clock)
    return batches


def lasting(clock: Clock, seconds: float) -> Callable:
    def function(item):
        clock.now += seconds
        return item * 10

    return function


def test_fast_items_share_one_batch(clock):
    (batch,) = run(lasting(clock, 0.001), [1, 2, 3], clock, first=40)
    assert batch == (40, [10, 20, 30], [], None, pytest.approx(0.003), None, ANY)


def test_slow_items_stream(clock):
    batches = run(lasting(clock, FLUSH * 1.5), [1, 2, 3], clock, first=7)
    assert [(batch.first, batch.values) for batch in batches] == [(7, [10]), (8, [20]), (9, [30])]
    assert sum(batch.seconds for batch in batches) == pytest.approx(FLUSH * 4.5)


def test_every_result_is_emitted_once_whatever_the_pace(clock):
    paces = iter([0.0, FLUSH * 2, 0.0, 0.0, FLUSH / 2, FLUSH, 0.0])

    def function(item):
        clock.now += next(paces)
        return item

    batches = run(function, list(range(7)), clock)
    assert [value for batch in batches for value in batch.values] == list(range(7))
    assert [batch.first for batch in batches] == [0, 2, 6]


def test_beyond_the_budget_the_rest_is_handed_back(clock):
    batches = run(lasting(clock, 0.03), [1, 2, 3, 4, 5], clock, first=10, budget=0.05)
    assert [batch.values for batch in batches] == [[10], [20]]
    assert [batch.back for batch in batches] == [None, (12, 3)]


def test_the_last_item_hands_nothing_back(clock):
    (batch,) = run(lasting(clock, 9.0), [1], clock, budget=0.05)
    assert (batch.values, batch.back) == ([10], None)


def test_words_say_what_is_in_hand_before_it_begins(clock):
    words, seen = [0, 0, 0], []
    run_items(lambda item: seen.append(list(words)), "abc", 5, words, 1, lambda batch: None, 1.0, clock)
    assert seen == [[0, 6, 0], [0, 7, 0], [0, 8, 0]]


def test_an_error_takes_its_items_place(clock):
    def function(item):
        clock.now += 0.002
        return 1 / item

    (batch,) = run(function, [1, 0, 2], clock)
    assert batch.values == [1.0, None, 0.5]
    ((at, failed),) = batch.errors
    assert (at, type(failed.error)) == (1, ZeroDivisionError)
    assert failed.seconds == pytest.approx(0.002)
    assert "in function" in failed.traceback
    assert "run_items" not in failed.traceback


def test_positions_of_errors_are_those_in_their_own_batch(clock):
    def function(item):
        clock.now += FLUSH * 2
        raise KeyError(item)

    batches = run(function, "ab", clock)
    assert [[at for at, _ in batch.errors] for batch in batches] == [[0], [0]]
    assert [batch.errors[0][1].error.args for batch in batches] == [("a",), ("b",)]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_is_no_exception_is_the_items_failure_too(clock, error):
    def function(item):
        raise error

    (batch,) = run(function, [1, 2], clock)
    assert [failed.error for _, failed in batch.errors] == [error, error]


def test_stop_iteration_becomes_an_error_that_can_be_raised(clock):
    (batch,) = run(lambda item: next(iter(())), [1], clock)
    assert isinstance(batch.errors[0][1].error, FunctionStopped)


def test_the_time_to_emit_is_not_counted_as_work(clock):
    batches = []

    def emit(batch):
        batches.append(batch)
        clock.now += 5.0

    run_items(lasting(clock, 0.02), [1, 2], 0, [0], 0, emit, float("inf"), clock)
    assert [batch.seconds for batch in batches] == [pytest.approx(0.02), pytest.approx(0.02)]


def test_each_item_finds_the_callers_contextvars_whatever_the_one_before_has_set(clock):
    def function(item):
        before = colour.get()
        if item != "reads":
            colour.set(f"set by {item}")
        return before

    token = colour.set("callers")
    try:
        (batch,) = run(function, ["a", "reads", "b", "c"], clock)
        assert colour.get() == "callers", "nor does it reach the caller"
    finally:
        colour.reset(token)
    assert batch.values == ["callers"] * 4


def test_values_in_the_context_that_cannot_be_compared_are_no_error(clock):
    class Odd:
        def __eq__(self, other):
            raise RuntimeError

        __hash__ = None

    token = colour.set(Odd())
    try:
        (batch,) = run(lambda item: colour.set(Odd()) and item, [1, 2], clock)
    finally:
        colour.reset(token)
    assert batch.values == [1, 2]


def test_a_change_of_context_keeps_the_budget_and_the_words(clock):
    words = [0]

    def function(item):
        colour.set(item)
        clock.now += 0.03
        return words[0]

    batches = run(function, list("abcd"), clock, first=10, budget=0.05, words=words)
    assert [batch.values for batch in batches] == [[11], [12]]
    assert batches[-1].back == (12, 2)


class TestStreaming:
    @pytest.fixture
    def streaming(self):
        made = Streaming()
        yield made
        made.close()

    @staticmethod
    def all(sent: SimpleQueue) -> list[Batch]:
        found = []
        while not sent.empty():
            found.append(sent.get())
        return found

    def test_what_is_finished_is_sent_while_the_next_item_runs(self, streaming):
        sent: SimpleQueue[Batch] = SimpleQueue()
        met: list[list] = []

        def function(item):
            if item == "slow":
                met.append(sent.get(timeout=WAIT).values)  # it ends only once the others have arrived
            return item

        run_items(function, ["a", "b", "slow", "c"], 5, [0], 0, sent.put, float("inf"), streaming=streaming)
        assert met == [["a", "b"]]
        rest = self.all(sent)
        assert [value for batch in rest for value in batch.values] == ["slow", "c"], "every result once"
        assert rest[0].first == 7

    def test_positions_of_errors_are_those_in_their_own_batch(self, streaming):
        sent: SimpleQueue[Batch] = SimpleQueue()
        met: list[Batch] = []

        def function(item):
            if item == 2:
                met.append(sent.get(timeout=WAIT))
            if item % 2:
                raise ValueError(item)
            return item

        run_items(function, [0, 1, 2, 3], 0, [0], 0, sent.put, float("inf"), streaming=streaming)
        raised = {}
        for batch in [*met, *self.all(sent)]:
            assert all(batch.values[at] is None for at, _ in batch.errors)
            raised |= {batch.first + at: failed.error.args for at, failed in batch.errors}
        assert raised == {1: (1,), 3: (3,)}

    def test_nothing_is_kept_of_a_chunk_that_is_done(self, streaming):
        class Large:
            pass

        large = weakref.ref(Large())
        results: list[Batch] = []

        def function(item):
            nonlocal large
            made = Large()
            large = weakref.ref(made)
            return made

        run_items(function, [1, 2], 0, [0], 0, results.append, float("inf"), streaming=streaming)
        assert results
        results.clear()
        gc.collect()
        assert large() is None

    def test_closed_it_leaves_no_timer(self):
        one = Streaming()
        one.close()
        gone = weakref.ref(one)
        del one
        gc.collect()
        assert gone() is None, "a timer still holds it"
