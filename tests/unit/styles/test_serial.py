"""One item after the other: what is emitted, and when."""

from collections.abc import Callable

import pytest

from plait.errors import FunctionStopped
from plait.styles.batch import Batch
from plait.styles.serial import FLUSH, run_items


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
    assert batch == (40, [10, 20, 30], [], None, pytest.approx(0.003), None)


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
