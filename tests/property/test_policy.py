"""Rules of treatment that hold for every figure."""

import math

from hypothesis import given
from hypothesis import strategies as st

from plait.policy.budget import exhausted
from plait.policy.chunks import GROWTH, HEAVY, MOST, Sizer
from plait.policy.overdue import Overdue, tick_for
from plait.policy.retry import Retry

spans = st.floats(0, 1e6)
shares = st.floats(0, 1)


class Throttled(Exception):
    def __init__(self, retry_after):
        self.retry_after = retry_after


@given(times=st.integers(0, 50), backoff=spans, jitter=shares, longest=spans, attempt=st.integers(1, 60), draw=shares)
def test_a_wait_is_within_its_bounds_and_there_is_none_beyond_times(times, backoff, jitter, longest, attempt, draw):
    wait = Retry(times, backoff=backoff, jitter=jitter, longest=longest).wait(attempt, ValueError(), 0.0, draw)
    assert (wait is None) is (attempt > times)
    if wait is not None:
        assert 0 <= wait <= longest
        assert wait >= min(longest, backoff) * (1 - jitter) * (1 - 1e-9)


@given(times=st.integers(2, 200), backoff=spans, jitter=shares, longest=spans, draw=shares)
def test_waits_never_get_shorter_from_attempt_to_attempt(times, backoff, jitter, longest, draw):
    retry = Retry(times, backoff=backoff, jitter=jitter, longest=longest)
    waits = [retry.wait(attempt, ValueError(), 0.0, draw) for attempt in range(1, times + 1)]
    assert waits == sorted(waits)


@given(asked=st.floats(0, 1e9), backoff=spans, jitter=shares, attempt=st.integers(1, 9), draw=shares)
def test_nobody_comes_back_sooner_than_asked(asked, backoff, jitter, attempt, draw):
    wait = Retry(9, backoff=backoff, jitter=jitter).wait(attempt, Throttled(asked), 0.0, draw)
    assert wait >= asked


@given(until=st.floats(0.001, 1e6), elapsed=spans, backoff=spans, draw=shares, asked=st.none() | spans)
def test_no_attempt_begins_after_until(until, elapsed, backoff, draw, asked):
    wait = Retry(9, backoff=backoff, until=until).wait(1, Throttled(asked), elapsed, draw)
    assert wait is None or elapsed + wait < until


measurements = st.lists(
    st.one_of(
        st.tuples(st.just("measured"), st.integers(0, 10_000), st.floats(0, 1e4)),
        st.tuples(st.just("weighed"), st.integers(0, 10_000), st.integers(0, 1 << 40)),
    ),
    max_size=40,
)


@given(measurements, st.integers(-1, 10**6), st.integers(1, 5000))
def test_a_chunk_grows_by_degrees_and_stays_within_its_bounds(figures, most, slots):
    sizer = Sizer(most)
    for what, items, figure in figures:
        before = sizer.size
        getattr(sizer, what)(items, figure)
        assert 1 <= sizer.size <= max(1, min(most, MOST))
        assert sizer.size <= before * GROWTH
        if what == "measured" and items and sizer.bytes_per_item:
            assert sizer.size == 1 or sizer.size * sizer.bytes_per_item <= HEAVY * (1 + 1e-9)
        assert 0 <= sizer.worth(1.0) <= sizer.most
        assert math.isfinite(sizer.chunk_seconds)
        assert sizer.buffer(slots) >= 2 * slots + 8


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 0.3)), max_size=60), st.floats(0.01, 1))
def test_an_attempt_is_never_overdue_early_and_at_most_one_sample_late(steps, timeout):
    """One slot: each step begins attempt `word` (0: nothing) if it is another one, and samples after a while."""
    overdue, now, word = Overdue(timeout), 0.0, 0
    began = seen = 0.0
    known = False
    for new, pause in steps:
        if new != word:
            word, began, known = new, now, False
        now += pause
        late = overdue.sample("seat", [word], now)
        if late:
            assert word
            assert now - began >= timeout
        if word and known:
            assert bool(late) is (now - seen >= timeout)
        if word and not known:
            seen, known = now, True
            assert not late
    assert tick_for(timeout) <= max(timeout, 0.005)


@given(st.integers(0, 1000), st.integers(0, 1000), st.none() | st.integers(0, 1000) | st.floats(0, 0.99), st.booleans())
def test_one_more_failure_never_saves_a_run(failures, successes, limit, ended):
    finished = failures + successes
    if exhausted(failures, finished, limit, ended=ended):
        assert exhausted(failures + 1, finished + 1, limit, ended=ended)
    if failures == 0:
        assert not exhausted(failures, finished, limit, ended=ended)
