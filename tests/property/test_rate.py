"""No window of time, however long, has more attempts than the rate allows; and no attempt waits longer than it must."""

import math
from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from plait.policy.rate import Gcra, Rate

rates = st.builds(
    Rate,
    st.floats(0.01, 5000) | st.sampled_from(["50/s", "300/min", "1000/hour", "2/day", "0.5/s", "10/2s"]),
    burst=st.none() | st.floats(1, 50),
)
pauses = st.lists(st.floats(0, 5) | st.sampled_from([0.0, 0.0005, 1.0]), min_size=30, max_size=80) | st.lists(
    st.floats(0, 5), min_size=1, max_size=20
)


def assert_within(begun: list[float], rate: Rate) -> None:
    """The fullest windows begin and end with an attempt."""
    for first, start in enumerate(begun):
        for last in range(first, len(begun)):
            allowed = rate.burst + rate.per_second * (begun[last] - start)
            assert last - first + 1 <= allowed * (1 + 1e-9) + 1e-6, (start, begun[last])


@given(rates, pauses, st.booleans())
def test_no_window_is_over_the_rate(rate, pauses, patient):
    """Polled after pauses of any length; or each waits for its time, if that is later."""
    pace, now, begun = Gcra(rate), 0.0, []
    for pause in pauses:
        now += pause * rate.interval
        if patient:
            now = pace.when("key", now)
        if pace.when("key", now) <= now:
            pace.take("key", now)
            begun.append(now)
    assert_within(begun, rate)


@given(rates, st.integers(1, 200))
def test_who_waits_for_each_time_told_gets_the_full_rate(rate, count):
    pace, now = Gcra(rate), 7.0
    for _ in range(count):
        now = pace.when("key", now)
        assert pace.when("key", now) == now, "the time told is the time that counts"
        pace.take("key", now)
    ideal = max(0.0, count - rate.burst) * rate.interval
    assert math.isclose(now - 7.0, ideal, rel_tol=1e-6, abs_tol=1e-6)


@given(rates, pauses)
def test_an_attempt_is_held_back_only_when_some_window_would_be_over(rate, pauses):
    pace, now, begun = Gcra(rate), 0.0, []
    for pause in pauses:
        now += pause * rate.interval
        windows = [len(begun) - at + 1 - (now - start) * rate.per_second for at, start in enumerate(begun)]
        room = rate.burst - max(windows, default=0.0)
        if abs(room) > 1e-6:  # else rounding decides
            assert (pace.when("key", now) <= now) is (room > 0)
        if pace.when("key", now) <= now:
            pace.take("key", now)
            begun.append(now)


@given(rates, st.lists(st.tuples(st.integers(0, 20), st.floats(0, 2)), max_size=150))
def test_keys_do_not_disturb_each_other_and_only_recent_ones_are_remembered(rate, steps):
    """Each key goes as if it were alone, though the state of keys that say nothing any more is dropped."""
    together, alone, now = Gcra(rate), [Gcra(rate) for _ in range(21)], 0.0
    used: dict[int, float] = {}
    for key, pause in steps:
        now += pause * rate.interval
        assert together.when(key, now) == alone[key].when(key, now)
        if together.when(key, now) <= now:
            together.take(key, now)
            alone[key].take(key, now)
            used[key] = now
    for _ in range(len(used)):  # two are looked at with each attempt
        now += rate.interval * rate.burst
        together.take("last", now)
    assert len(together) <= 1 + bisect_left([0.0], len(used) - 21)


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.sampled_from(["s", "min", "hour", "day", "ms"]))
def test_a_rate_means_what_it_says(count, spans, unit):
    seconds = spans * {"s": 1, "min": 60, "hour": 3600, "day": 86400, "ms": 0.001}[unit]
    rate = Rate(f"{count}/{spans}{unit}")
    assert math.isclose(rate.per_second, count / seconds)
    assert math.isclose(rate.interval, seconds / count)
    assert rate.burst == max(1, rate.per_second * 0.02)
    assert rate == Rate(rate.per_second)
