"""How rates are written, and what is said of those that make no sense."""

from dataclasses import FrozenInstanceError, replace
from fractions import Fraction

import pytest

from plait.errors import OptionError
from plait.policy.rate import Gcra, Rate


def host(item):
    return item


@pytest.mark.parametrize(
    ("written", "per_second"),
    [
        ("50/s", 50),
        ("300/min", 5),
        ("1000/hour", 1000 / 3600),
        ("2/day", 2 / 86400),
        ("0.5/s", 0.5),
        ("10/2s", 5),
        ("1/100ms", 10),
        ("3 / 1.5 minutes", 3 / 90),
        ("1_000/Second", 1000),
        ("60/m", 1),
        ("7/2 hrs", 7 / 7200),
        ("1e3/h", 1000 / 3600),
        (50, 50),
        (0.25, 0.25),
        (Fraction(1, 3), 1 / 3),
    ],
)
def test_a_rate_is_a_count_and_a_span(written, per_second):
    rate = Rate(written)
    assert rate.per_second == pytest.approx(per_second)
    assert rate.interval == pytest.approx(1 / per_second)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("50", "there is no span"),
        ("50 per second", "there is no span"),
        ("50/", "the units are ms, s, min, hour, day"),
        ("50/2", "the units are"),
        ("50/week", "the units are"),
        ("/s", "the units are"),
        ("many/s", "the units are"),
        ("5/1.2.3s", "the units are"),
        ("50/s/s", "the units are"),
        ("0/s", "it must be above 0"),
        ("-5/s", "it must be above 0"),
        ("nan/s", "it must be above 0"),
        ("inf/s", "not infinite"),
        ("5/0s", "it must be above 0"),
        (0, "it must be above 0"),
        (-1.5, "it must be above 0"),
        (float("nan"), "it must be above 0"),
        (5e-324, "it must be above 0"),
        (True, "it takes a count and a span"),
        (None, "it takes a count and a span"),
        (b"50/s", "it takes a count and a span"),
    ],
)
def test_what_is_no_rate_is_refused_with_what_to_write(written, why):
    with pytest.raises(OptionError, match=r'^rate=.*"50/s", "300/min"') as caught:
        Rate(written)
    assert why in str(caught.value)


def test_the_message_reads_well():
    with pytest.raises(OptionError) as caught:
        Rate("50")
    assert str(caught.value) == (
        'rate=\'50\' cannot be used: it takes a count and a span, like "50/s", "300/min", "1000/hour", "2/day" '
        'or "10/2s", or a number per second; there is no span.'
    )


@pytest.mark.parametrize(("written", "burst"), [("1/day", 1), ("50/s", 1), ("75/s", 1.5), (5000, 100)])
def test_the_burst_is_what_the_rate_gives_in_20_ms(written, burst):
    assert Rate(written).burst == pytest.approx(burst)


def test_a_burst_may_be_chosen():
    assert Rate("5/s", burst=10).burst == 10
    assert Rate("5/s", 1.5).burst == 1.5


@pytest.mark.parametrize("burst", [0, 0.5, -1, "10", True, float("inf"), float("nan")])
def test_a_burst_is_a_number_from_1(burst):
    with pytest.raises(OptionError, match=r"^burst=.* it takes a number from 1"):
        Rate("5/s", burst=burst)


def test_a_key_is_a_function_of_the_item():
    assert Rate("5/s", key=host).key is host
    with pytest.raises(OptionError, match=r"^key='host' .* it takes a function of the item, like key=host"):
        Rate("5/s", key="host")


def test_rates_that_mean_the_same_are_equal():
    assert Rate("60/min") == Rate(1) == Rate("1/s", burst=1)
    assert hash(Rate("60/min")) == hash(Rate(1))
    assert Rate("1/s") != Rate("1/s", key=host)
    assert Rate("1/s") != Rate("1/s", burst=2)


def test_a_rate_does_not_change_and_shows_how_it_was_written():
    rate = Rate("300/min", burst=2)
    with pytest.raises(FrozenInstanceError):
        rate.burst = 3
    assert repr(rate) == "Rate(rate='300/min', burst=2.0, key=None)"
    assert replace(rate, rate="2/s").per_second == 2
    assert replace(rate, key=host) == Rate("5/s", 2, host)


def test_attempts_are_spaced_evenly():
    pace = Gcra(Rate("4/s"))
    assert pace.when("key", 10.0) == 10.0
    pace.take("key", 10.0)
    assert pace.when("key", 10.0) == 10.25
    assert pace.when("key", 10.5) == 10.5
    pace.take("key", 10.5)
    assert pace.when("key", 10.5) == 10.75, "what was not used is not saved"
    assert pace.when("another", 10.5) == 10.5


def test_a_burst_is_there_after_a_pause():
    pace = Gcra(Rate("4/s", burst=3))
    for _ in range(3):
        assert pace.when("key", 1.0) == 1.0
        pace.take("key", 1.0)
    assert pace.when("key", 1.0) == 1.25
    for _ in range(3):
        assert pace.when("key", 99.0) == 99.0
        pace.take("key", 99.0)
    assert pace.when("key", 99.0) == 99.25


def test_an_attempt_that_did_not_wait_counts():
    pace = Gcra(Rate("4/s"))
    for _ in range(3):
        pace.take("key", 1.0)
    assert pace.when("key", 1.0) == 1.75


def test_keys_that_say_nothing_any_more_are_forgotten_by_and_by():
    pace = Gcra(Rate("4/s"))
    pace.take("another", 0.9)
    for key in range(1000):
        pace.take(key, 1.0)
    assert len(pace) == 1001
    for at in range(500):
        pace.take("another", 2.0 + at)
    assert len(pace) == 1
