"""How many jobs a worker claims: its places filled, little that waits behind them, and few large claims."""

import math

from hypothesis import example, given
from hypothesis import strategies as st

from plait.jobs.worker.appetite import AHEAD, MOST, appetite

slots = st.integers(1, 64) | st.integers(1, 5000)
seconds = st.floats(1e-7, 100.0) | st.sampled_from([0.0, 1e-6, 0.001, 0.05, 1.0, math.inf])
unknown = st.none() | seconds
hand = st.integers(0, 64) | st.integers(0, 20_000)


@given(st.integers(0, 5000), unknown, hand)
def test_it_is_a_number_of_jobs(slots, seconds, in_hand):
    assert appetite(slots, seconds, in_hand) >= 0


@given(slots, seconds, hand)
@example(2, 10.0, 0)
@example(1, 0.049, 1)
def test_no_more_waits_than_so_much_measured_work(slots, seconds, in_hand):
    """A job that is claimed waits here although another worker may be free: for some 50 ms at most."""
    wanted = appetite(slots, seconds, in_hand)
    if wanted:
        waiting = in_hand + wanted - slots
        assert max(0, waiting) * seconds / slots <= AHEAD * (1 + 1e-9) or waiting <= 0


@given(slots, unknown, hand)
def test_a_worker_never_has_more_of_a_task_than_so_many(slots, seconds, in_hand):
    wanted = appetite(slots, seconds, in_hand)
    assert wanted == 0 or in_hand + wanted <= max(MOST, slots)


@given(slots, unknown, hand)
def test_a_free_place_is_always_filled(slots, seconds, in_hand):
    """Nothing waits in the store while a place here is free: not even to make a claim larger."""
    wanted = appetite(slots, seconds, in_hand)
    assert in_hand + wanted >= slots


@given(st.integers(0, 5000), unknown, hand, hand)
def test_the_less_a_worker_has_the_more_it_wants(slots, seconds, one, other):
    less, more = sorted((one, other))
    assert appetite(slots, seconds, less) >= appetite(slots, seconds, more)


@given(st.integers(0, 5000), hand)
def test_of_a_task_that_was_never_measured_none_waits_behind_another(slots, in_hand):
    """The first might take an hour. A lane that has no seats yet is told of one job, so that it opens some."""
    assert appetite(slots, None, in_hand) == max(0, max(1, slots) - in_hand)


@given(slots, st.floats(1e-7, 1e-4))
def test_of_short_jobs_many_are_claimed_at_once(slots, seconds):
    """Held full, it claims again only when a good part of what it had is done."""
    full = appetite(slots, seconds, 0)
    assert full >= min(MOST, slots + int(AHEAD * slots / 1e-4))
    claims, in_hand = [], full
    while in_hand >= slots and len(claims) < 3:
        in_hand -= 1
        wanted = appetite(slots, seconds, in_hand)
        if wanted:
            claims.append(wanted)
            in_hand += wanted
    assert all(claim >= min(full - slots + 1, full // 4) for claim in claims)


def test_long_jobs_are_claimed_one_for_each_place():
    assert [appetite(4, 2.0, in_hand) for in_hand in range(6)] == [4, 3, 2, 1, 0, 0]
