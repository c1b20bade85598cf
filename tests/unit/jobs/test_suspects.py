"""When jobs that have lost a worker run beside others of the kind: a last one alone, and nobody waits for ever."""

from hypothesis import given
from hypothesis import strategies as st

from plait.jobs.protocol import CRASHES
from plait.jobs.records import Claimed
from plait.jobs.worker.suspects import OPENING, SHOWN, Suspects

LAST = CRASHES - 1


def claimed(number, crashes):
    return Claimed(id=number, token=1, task="t", args=b"", attempt=1, crashes=crashes, created=0.0)


def holding(*crashes):
    """Suspects that wait, numbered from 1, with so many crashes each."""
    suspects = Suspects()
    suspects.add([claimed(number, count) for number, count in enumerate(crashes, 1)])
    return suspects


def begun(suspects, in_hand, now):
    """Those that may run now, beside others that have begun."""
    return [job.id for job in suspects.admitted(dict.fromkeys(in_hand, True), now)]


def test_those_that_may_crash_again_run_side_by_side():
    suspects = holding(1, 1, 1)
    assert begun(suspects, set(), 0.0) == [1, 2, 3]
    assert suspects.waiting == []
    assert suspects.wanted(dict.fromkeys([1, 2, 3], True), 0.0)


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
    assert begun(suspects, {1}, 0.0) == []
    assert begun(suspects, {1}, SHOWN) == [2]
    assert begun(suspects, {1, 2}, SHOWN) == []
    assert begun(suspects, {1, 2}, 2 * SHOWN) == [3]


def test_the_time_in_which_its_seat_is_made_ready_does_not_count():
    suspects = holding(LAST, LAST)
    assert begun(suspects, set(), 0.0) == [1]
    assert list(suspects.admitted({1: False}, 2 * SHOWN)) == []
    assert begun(suspects, {1}, 3 * SHOWN) == []
    assert begun(suspects, {1}, 4 * SHOWN) == [2]


def test_nobody_waits_for_ever_for_one_that_does_not_begin():
    suspects = holding(LAST, LAST)
    assert begun(suspects, set(), 0.0) == [1]
    assert list(suspects.admitted({1: False}, OPENING - 0.1)) == []
    assert [job.id for job in suspects.admitted({1: False}, OPENING)] == [2]


def test_one_that_is_dropped_does_not_run():
    suspects = holding(1, LAST, 1)
    suspects.drop(suspects.waiting[1])
    assert begun(suspects, set(), 0.0) == [1, 3]


def test_more_are_wanted_when_they_need_not_wait():
    suspects = holding(LAST)
    assert not suspects.wanted({}, 0.0)
    assert begun(suspects, set(), 0.0) == [1]
    assert not suspects.wanted({1: True}, 0.0)
    assert not suspects.wanted({1: True}, SHOWN - 0.1)
    assert suspects.wanted({1: True}, SHOWN)
    assert suspects.wanted({}, 0.1)


def test_one_waits_until_it_is_somewhere_else():
    """A look from another thread must find it, here or in a lane, at every moment."""
    suspects = holding(1)
    (job,) = suspects.waiting
    for admitted in suspects.admitted({}, 0.0):
        assert admitted is job
        assert suspects.waiting == [job]
    assert suspects.waiting == []


@given(
    st.lists(st.tuples(st.integers(1, LAST), st.floats(0, SHOWN), st.floats(0.1, 3 * SHOWN)), min_size=1, max_size=12)
)
def test_all_come_to_run_and_a_last_one_begins_beside_none_that_has_just_begun(jobs):
    """Each has its crashes, the seconds until it begins, and those that it takes then."""
    suspects, now, admitted, began = holding(*(crashes for crashes, *_ in jobs)), 0.0, {}, {}
    while len(admitted) < len(jobs):
        in_hand = {}
        for job, at in admitted.items():
            _, opening, seconds = jobs[job - 1]
            if now < at + opening + seconds:
                in_hand[job] = now >= at + opening
                if in_hand[job]:
                    began.setdefault(job, now)
        for job in suspects.admitted(in_hand, now):
            young = {other for other in in_hand if other not in began or began[other] + SHOWN > now}
            last = {other for other in young if jobs[other - 1][0] == LAST}
            assert not (young if job.crashes == LAST else last)
            admitted[job.id], in_hand[job.id] = now, False
        now += 0.25
        assert now < (len(jobs) + 1) * (2 * SHOWN + 0.5)
    assert list(admitted) == sorted(admitted)
