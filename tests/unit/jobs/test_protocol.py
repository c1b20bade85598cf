"""The states of a job: what may happen in each, and what does not."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.jobs.protocol import CRASHES, ENDED, FENCED, LIVE, TRANSITIONS, Event, State, after_crash, after_event

S, E = State, Event
#: Event -> where it leads, by the state in which it happens. Written down anew, so that a change is meant.
HAPPENS = {
    E.ENQUEUE: {None: S.WAITING},
    E.POSTPONE: {None: S.SCHEDULED},
    E.DUE: {S.SCHEDULED: S.WAITING},
    E.CLAIM: {S.WAITING: S.RUNNING},
    E.SUCCEED: {S.RUNNING: S.DONE},
    E.FAIL: {S.RUNNING: S.FAILED},
    E.RETRY: {S.RUNNING: S.SCHEDULED},
    E.RELEASE: {S.RUNNING: S.WAITING},
    E.SNOOZE: {S.RUNNING: S.SCHEDULED},
    E.CRASH: {S.RUNNING: S.WAITING},
    E.POISON: {S.RUNNING: S.FAILED},
    E.CANCEL: {S.SCHEDULED: S.CANCELLED, S.WAITING: S.CANCELLED, S.RUNNING: S.RUNNING},
    E.STOP: {S.RUNNING: S.CANCELLED},
    E.REDO: {S.FAILED: S.WAITING, S.CANCELLED: S.WAITING},
}


@pytest.mark.parametrize(("state", "event"), list(product([None, *S], E)))
def test_each_event_leads_where_it_says_and_happens_nowhere_else(state, event):
    assert after_event(state, event) == HAPPENS[event].get(state)


def reached(start, events):
    found, new = {start}, [start]
    while new:
        state = new.pop()
        after = {after_event(state, event) for event in events} - {None} - found
        found |= after
        new += after
    return found


def test_a_job_is_live_or_has_ended():
    assert set(S) == LIVE | ENDED
    assert not LIVE & ENDED


def test_every_state_is_reached_and_every_live_job_can_end_in_each_way():
    assert reached(None, E) == {None, *S}
    for state in LIVE:
        assert reached(state, E) >= ENDED


def test_who_has_ended_comes_back_only_when_asked_for_and_who_is_done_never():
    assert all(reached(state, set(E) - {E.REDO}) == {state} for state in ENDED)
    assert reached(S.DONE, E) == {S.DONE}


def test_only_a_claim_makes_a_job_run():
    into = {(state, event) for (state, event), after in TRANSITIONS.items() if after is S.RUNNING}
    assert into == {(S.WAITING, E.CLAIM), (S.RUNNING, E.CANCEL)}


def test_fenced_is_all_that_a_worker_says_of_a_job_that_it_runs():
    """Who lost the job says it with a token that is not the last: whatever else may happen to it needs no token."""
    by_others = {E.CRASH, E.POISON, E.CANCEL}
    assert {event for state, event in TRANSITIONS if state is S.RUNNING} == FENCED | by_others
    assert not FENCED & by_others
    assert all(state is S.RUNNING for state, event in TRANSITIONS if event in FENCED)


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        TRANSITIONS[S.DONE, E.REDO] = S.WAITING  # type: ignore[index]


@given(st.lists(st.sampled_from(E), max_size=60))
def test_a_job_has_always_a_state_once_it_has_one(events):
    state = None
    for event in events:
        after = after_event(state, event)
        assert (after is None) is ((state, event) not in TRANSITIONS)
        state = state if after is None else after
        assert state is None or state in set(S)


# --- crashes ---------------------------------------------------------------------------------------------------------


def told(begun):
    """What becomes of a job at each crash of its workers, as long as it is run again."""
    crashes, events = 0, []
    for each in begun:
        event, crashes = after_crash(crashes, each)
        events.append(event)
        if event is E.POISON:
            break
    return events, crashes


def test_a_job_that_kills_its_worker_each_time_is_given_up_after_the_third():
    assert told([True] * 9) == ([E.CRASH, E.CRASH, E.POISON], 3)


def test_it_makes_no_difference_whether_the_first_time_is_known():
    """Most of what a worker has when it dies is not said to have begun: all of it is run alone from then on."""
    assert told([False, True, True, True]) == ([E.CRASH, E.CRASH, E.POISON], 3)


@given(st.integers(1, 500))
def test_a_bystander_of_others_crashes_is_never_given_up(times):
    events, crashes = told([False] * times)
    assert set(events) == {E.CRASH}
    assert crashes == 1, "it stays under suspicion, and is run alone"


@given(st.lists(st.booleans(), max_size=40))
def test_what_counts_is_the_first_crash_and_those_after_it_had_begun(begun):
    events, crashes = told(begun)
    counted = [at for at, each in enumerate(begun) if at == 0 or each]
    poisoned = len(counted) >= CRASHES
    assert crashes == min(len(counted), CRASHES)
    assert len(events) == (counted[CRASHES - 1] + 1 if poisoned else len(begun))
    assert [event for event in events if event is E.POISON] == [E.POISON] * poisoned


@given(st.integers(0, CRASHES - 1), st.booleans())
def test_crashes_lead_to_states_that_the_table_knows(crashes, begun):
    event, after = after_crash(crashes, begun)
    assert after_event(S.RUNNING, event) is (S.FAILED if after >= CRASHES else S.WAITING)
    assert crashes <= after <= crashes + 1
