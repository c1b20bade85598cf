"""When jobs that have lost a worker run beside others of the kind: a last one alone, and nobody waits for ever."""

from hypothesis import given
from hypothesis import strategies as st

from plait.jobs.protocol import CRASHES
from plait.jobs.records import Claimed
from plait.jobs.worker.suspects import SHOWN, Suspects

LAST = CRASHES - 1


def claimed(number, crashes):
    return Claimed(id=number, token=1, task="t", args=b"", attempt=1, crashes=crashes, created=0.0)


def holding(*crashes):
    """Suspects that wait, numbered from 1, with so many crashes each."""
    suspects = Suspects()
    suspects.add([claimed(number, count) for number, count in enumerate(crashes, 1)])
    return suspects


def begun(suspects, in_hand, now):
    return [job.id for job in suspects.admitted(in_hand, now)]


def test_those_that_may_crash_again_run_side_by_side():
    suspects = holding(1, 1, 1)
    assert begun(suspects, set(), 0.0) == [1, 2, 3]
    assert suspects.waiting == []
    assert suspects.wanted({1, 2, 3}, 0.0)


def test_a_last_one_begins_when_no_other_runs():
    suspects = holding(LAST, 1)
    assert begun(suspects, set(), 0.0) == [1]
    assert begun(suspects, {1}, SHOWN - 0.1) == []
    assert begun(suspects, set(), SHOWN - 0.1) == [2]


def test_a_last_one_waits_for_those_that_run():
    suspects = holding(1, LAST, 1)
    assert begun(suspects, set(), 0.0) == [1]
    assert begun(suspects, {1}, 1.0) == []
    assert begun(suspects, set(), 1.0) == [2]
    assert begun(suspects, {2}, 2.0) == []


def test_nobody_waits_for_one_that_has_shown_itself():
    """It may be at work for hours, or wait for the result of one that waits for its end."""
    suspects = holding(LAST, LAST, 1)
    assert begun(suspects, set(), 0.0) == [1]
    assert begun(suspects, {1}, SHOWN) == [2]
    assert begun(suspects, {1, 2}, 2 * SHOWN) == [3]


def test_more_are_wanted_when_they_need_not_wait():
    suspects = holding(LAST)
    assert not suspects.wanted(set(), 0.0)
    assert begun(suspects, set(), 0.0) == [1]
    assert not suspects.wanted({1}, SHOWN - 0.1)
    assert suspects.wanted({1}, SHOWN)
    assert suspects.wanted(set(), 0.1)


def test_one_waits_until_it_is_somewhere_else():
    """A look from another thread must find it, here or in a lane, at every moment."""
    suspects = holding(1)
    (job,) = suspects.waiting
    for admitted in suspects.admitted(set(), 0.0):
        assert admitted is job
        assert suspects.waiting == [job]
    assert suspects.waiting == []


@given(st.lists(st.tuples(st.integers(1, LAST), st.floats(0.1, 3 * SHOWN)), min_size=1, max_size=12))
def test_all_come_to_run_and_a_last_one_begins_beside_none_that_has_just_begun(jobs):
    suspects, now, seen = holding(*(crashes for crashes, _ in jobs)), 0.0, {}
    running = {}  # until when
    while len(seen) < len(jobs):
        running = {job: end for job, end in running.items() if end > now}
        for job in suspects.admitted(set(running), now):
            young = {other for other in running if seen[other] + SHOWN > now}
            last = {other for other in young if jobs[other - 1][0] == LAST}
            assert not (young if job.crashes == LAST else last)
            seen[job.id], running[job.id] = now, now + jobs[job.id - 1][1]
        now += 0.25
        assert now < (len(jobs) + 1) * (SHOWN + 0.25)
    assert list(seen) == sorted(seen)
