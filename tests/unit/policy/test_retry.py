"""When an item is tried again, and after how long."""

from datetime import timedelta
from fractions import Fraction

import pytest

from plait.errors import OptionError
from plait.policy.retry import Retry


class Throttled(Exception):
    def __init__(self, retry_after):
        self.retry_after = retry_after


def wait(
    retry: Retry,
    attempt: int = 1,
    error: BaseException | None = None,
    elapsed: float = 0.0,
    draw: float = 0.0,
    previous: float | None = None,
):
    return retry.wait(attempt, error or ValueError("x"), elapsed, draw, previous)


def test_by_default_nothing_is_tried_again():
    assert wait(Retry()) is None


def test_it_is_tried_again_so_many_times_after_the_first():
    retry = Retry(2)
    assert [wait(retry, attempt) is not None for attempt in (1, 2, 3, 4)] == [True, True, False, False]


def test_waits_double_up_to_the_longest():
    retry = Retry(6, backoff=1.0, longest=5.0)
    assert [wait(retry, attempt) for attempt in range(1, 7)] == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_a_thousandth_attempt_waits_the_longest_and_does_not_overflow():
    assert wait(Retry(5000, backoff=0.1, longest=60), 4999) == 60


@pytest.mark.parametrize(("draw", "expected"), [(0.0, 10.0), (0.5, 7.5), (1.0, 5.0)])
def test_jitter_takes_off_up_to_its_share(draw, expected):
    assert wait(Retry(1, backoff=10, jitter=0.5), draw=draw) == expected


@pytest.mark.parametrize(("draw", "expected"), [(0.0, 2.0), (0.5, 5.5), (1.0, 9.0)])
def test_decorrelated_jitter_draws_up_to_three_times_the_wait_before(draw, expected):
    retry = Retry(5, backoff=2, jitter="decorrelated")
    assert wait(retry, 3, draw=draw, previous=3.0) == expected


def test_decorrelated_jitter_begins_with_the_backoff_and_ends_with_the_longest():
    retry = Retry(9, backoff=2, jitter="decorrelated", longest=30)
    assert [wait(retry, draw=draw) for draw in (0.0, 1.0)] == [2.0, 6.0]
    assert wait(retry, 2, draw=1.0, previous=20.0) == 30.0
    assert wait(retry, 2, draw=1.0, previous=0.0) == 2.0, "a wait is never below the backoff"


def test_decorrelated_jitter_does_without_the_wait_before():
    retry = Retry(9, backoff=1, jitter="decorrelated")
    assert [wait(retry, attempt, draw=1.0) for attempt in (1, 2, 3)] == [3.0, 6.0, 12.0]


def test_no_backoff_means_at_once():
    assert wait(Retry(3, backoff=0), 3) == 0.0


def test_only_errors_worth_it_are_tried_again():
    assert wait(Retry(1, on=OSError), error=ConnectionResetError()) is not None
    assert wait(Retry(1, on=OSError), error=ValueError()) is None
    assert wait(Retry(1, on=(OSError, KeyError)), error=KeyError()) is not None


def test_a_predicate_may_decide():
    retry = Retry(1, on=lambda error: "busy" in str(error))
    assert wait(retry, error=OSError("busy")) is not None
    assert wait(retry, error=OSError("gone")) is None


def test_by_default_what_is_no_exception_is_not_tried_again():
    assert wait(Retry(1), error=KeyboardInterrupt()) is None
    assert wait(Retry(1), error=SystemExit(3)) is None


def test_a_wait_asked_for_is_kept():
    assert wait(Retry(1, backoff=1), error=Throttled(30)) == 30
    assert wait(Retry(1, backoff=1, longest=5), error=Throttled(30)) == 30, "the server knows better than `longest`"
    assert wait(Retry(1, backoff=1), error=Throttled(0.1)) == 1


@pytest.mark.parametrize("asked", [30, 30.0, Fraction(30), "30", " 30 ", "30.0", timedelta(seconds=30)])
def test_a_wait_may_be_asked_for_in_several_ways(asked):
    assert wait(Retry(1, backoff=1), error=Throttled(asked)) == 30


@pytest.mark.parametrize("asked", [float("inf"), "9" * 400])
def test_one_that_asks_for_ever_is_not_tried_again(asked):
    assert wait(Retry(1), error=Throttled(asked)) is None


@pytest.mark.parametrize(
    "asked",
    [
        None,
        "soon",
        True,
        -5,
        float("nan"),
        "",
        "-5",
        "nan",
        "٣",
        b"30",
        timedelta(seconds=-5),
        "Wed, 21 Oct 2015 07:28:00 GMT",
    ],
)
def test_a_wait_that_makes_no_sense_is_ignored(asked):
    assert wait(Retry(1, backoff=0.25), error=Throttled(asked)) == 0.25


def test_nothing_is_tried_again_after_until():
    retry = Retry(9, backoff=1.0, until=10.0)
    assert wait(retry, elapsed=8.5) == 1.0
    assert wait(retry, elapsed=9.0) is None
    assert wait(retry, elapsed=11.0) is None


@pytest.mark.parametrize("times", [-1, 1.5, "3", True, None])
def test_times_is_a_count(times):
    with pytest.raises(OptionError, match=r"times=.* it takes a whole number from 0"):
        Retry(times)


@pytest.mark.parametrize("name", ["backoff", "longest"])
@pytest.mark.parametrize("value", [-0.1, "1s", None, True, float("nan")])
def test_spans_are_seconds(name, value):
    with pytest.raises(OptionError, match=rf"{name}=.* it takes a number from 0 \(seconds\)"):
        Retry(1, **{name: value})


@pytest.mark.parametrize("value", [-0.1, 1.1, "x", "full", None, float("nan")])
def test_jitter_is_a_share_or_decorrelated(value):
    with pytest.raises(OptionError, match=r'jitter=.* it takes a number from 0 to 1, or "decorrelated"'):
        Retry(1, jitter=value)


@pytest.mark.parametrize("value", [0, -1, "1", True, float("nan")])
def test_until_is_seconds(value):
    with pytest.raises(OptionError, match=r"until=.* it takes seconds above 0, or None"):
        Retry(1, until=value)


@pytest.mark.parametrize("value", [5, "OSError", [OSError], OSError(), (OSError, "x"), int])
def test_on_is_exception_types_or_a_predicate(value):
    with pytest.raises(OptionError, match=r"^on="):
        Retry(1, on=value)
