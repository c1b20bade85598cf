"""Rates of the last seconds, and how they and spans of time are written."""

import pytest

from plait.watch.pace import Pace, clock, per_second


def test_the_rate_is_that_of_the_last_seconds():
    pace = Pace(0.0)
    for second in range(1, 60):
        pace.rate(float(second), 10 * second)
    assert pace.rate(60.0, 59 * 10 + 500) > 50
    assert pace.rate(80.0, 59 * 10 + 500) < 20


def test_a_count_that_goes_back_has_no_rate():
    pace = Pace(0.0)
    assert pace.rate(1.0, 10) == 10
    assert pace.rate(2.0, 5) >= 0
    assert pace.rate(2.0, 0) == 0


def test_at_the_very_beginning():
    assert Pace(5.0).rate(5.0, 3) == 0.0


@pytest.mark.parametrize(
    ("rate", "words"), [(0, "0.0/s"), (0.05, "3.0/min"), (0.5, "0.5/s"), (12.4, "12/s"), (1234.5, "1,234/s")]
)
def test_per_second(rate, words):
    assert per_second(rate) == words


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0:00"), (59.6, "1:00"), (75, "1:15"), (3725, "1:02:05")])
def test_clock(seconds, words):
    assert clock(seconds) == words
