"""The states of a job, the events that move it from one to another, and what a worker decides about its attempts.

Pure: nothing here reads a clock, draws a random number or does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

__all__ = ["CRASHES", "ENDED", "FENCED", "LEASE", "LIVE", "TRANSITIONS", "Event", "State", "after_crash", "after_event"]

#: Crashes after which a job is not tried again.
CRASHES = 3
#: Seconds for which a worker that does not renew its lease keeps its jobs.
LEASE = 15.0


class State(StrEnum):
    """Where a job is. It is in exactly one state at any time."""

    SCHEDULED = "scheduled"  # its time has not come
    WAITING = "waiting"  # a worker may claim it
    RUNNING = "running"  # a worker has it, under its lease
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: States of jobs that are still to be worked on.
LIVE = frozenset({State.SCHEDULED, State.WAITING, State.RUNNING})
#: States that a job leaves only when somebody asks for it to be run again.
ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED})


class Event(StrEnum):
    """What happens to a job."""

    ENQUEUE = "enqueue"  # it is stored, to run as soon as may be
    POSTPONE = "postpone"  # it is stored, to run at a time
    DUE = "due"  # its time has come
    CLAIM = "claim"  # a worker takes it, with a new token
    SUCCEED = "succeed"
    FAIL = "fail"  # it has no attempts left
    RETRY = "retry"  # the attempt failed; the next one comes later
    RELEASE = "release"  # it is handed back: nothing is held against it
    SNOOZE = "snooze"  # the same, and it is to come later
    CRASH = "crash"  # its worker is gone
    POISON = "poison"  # its worker is gone, for the last time
    CANCEL = "cancel"  # nobody wants it; one that runs is asked to stop
    STOP = "stop"  # its worker has stopped it, because nobody wants it
    REDO = "redo"  # an operator wants it again


_S, _E = State, Event

#: (state, event) -> state after. What is not here does not happen.
TRANSITIONS: Mapping[tuple[State | None, Event], State] = MappingProxyType(
    {
        (None, _E.ENQUEUE): _S.WAITING,
        (None, _E.POSTPONE): _S.SCHEDULED,
        (_S.SCHEDULED, _E.DUE): _S.WAITING,
        (_S.WAITING, _E.CLAIM): _S.RUNNING,
        (_S.RUNNING, _E.SUCCEED): _S.DONE,
        (_S.RUNNING, _E.FAIL): _S.FAILED,
        (_S.RUNNING, _E.RETRY): _S.SCHEDULED,
        (_S.RUNNING, _E.RELEASE): _S.WAITING,
        (_S.RUNNING, _E.SNOOZE): _S.SCHEDULED,
        (_S.RUNNING, _E.CRASH): _S.WAITING,
        (_S.RUNNING, _E.POISON): _S.FAILED,
        (_S.SCHEDULED, _E.CANCEL): _S.CANCELLED,
        (_S.WAITING, _E.CANCEL): _S.CANCELLED,
        (_S.RUNNING, _E.CANCEL): _S.RUNNING,
        (_S.RUNNING, _E.STOP): _S.CANCELLED,
        (_S.FAILED, _E.REDO): _S.WAITING,
        (_S.CANCELLED, _E.REDO): _S.WAITING,
    }
)

#: Events by which a worker settles a job of its own: they count only with the token of its last claim.
FENCED = frozenset({Event.SUCCEED, Event.FAIL, Event.RETRY, Event.RELEASE, Event.SNOOZE, Event.STOP})


def after_event(state: State | None, event: Event) -> State | None:
    """The state after `event`; `None` where it cannot happen in `state`."""
    return TRANSITIONS.get((state, event))


def after_crash(crashes: int, begun: bool) -> tuple[Event, int]:
    """What becomes of a running job whose worker is gone, and how many crashes it has then.

    Whoever kills a worker, it has many jobs in hand, and most have not even begun: all of them come under suspicion.
    From then on each is run alone, and only what had begun then counts against it.

    Parameters:
        crashes: how many it had.
        begun: whether it is known to have begun; known of suspects only.
    """
    if crashes and not begun:
        return Event.CRASH, crashes
    return (Event.POISON if crashes + 1 >= CRASHES else Event.CRASH), crashes + 1
