"""Storing jobs, and what becomes of them when an attempt has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from plait.jobs.memory.tables import KEPT, GroupRow, JobRow, Tables
from plait.jobs.protocol import Event, State, after_crash, after_event
from plait.jobs.records import Draft, Fan, Outcome, Placed

__all__ = ["cancel", "fan_out", "hand_back", "lose", "redo", "settle", "store"]


def fan_out(all_: Tables, drafts: Sequence[Draft], fan: Fan | None) -> tuple[list[Placed], int]:
    """Store jobs, as a group if there is a `fan`; where they went, and its number."""
    group = 0
    if fan is not None:
        group = all_.number("group")
        then = msgspec.structs.replace(fan.then, of=group) if fan.then is not None else None
        all_.groups[group] = GroupRow(fan.total, fan.total, then)
        if fan.total == 0 and then is not None:
            store(all_, [then])
    return store(all_, drafts, group), group


def store(all_: Tables, drafts: Sequence[Draft], group: int = 0) -> list[Placed]:
    """Store jobs; where each went."""
    now, placed = all_.now, []
    for part, draft in enumerate(drafts):
        unique = f"{draft.task}\x1f{draft.unique}" if draft.unique is not None and not group else None
        if unique is not None:
            holder, until = all_.unique.get(unique, (0, 0.0))
            if holder and (until is None or until > now):
                placed.append(Placed(holder, fresh=False))
                continue
        run_at = max(draft.at, now + draft.delay)
        state = after_event(None, Event.POSTPONE if run_at > now else Event.ENQUEUE)
        assert state is not None
        job = JobRow(all_.number("job"), draft, state, now, run_at=run_at if run_at > now else None, unique=unique)
        job.vt = _virtual_time(all_, job.lane, draft.key)
        job.group, job.part = (group, part) if group else (draft.group, draft.part)
        all_.jobs[job.id] = job
        if unique is not None:
            all_.unique[unique] = (job.id, None)
        placed.append(Placed(job.id))
    return placed


def _virtual_time(all_: Tables, lane: Any, key: str | None) -> float:
    base = all_.fair.get((lane, ""), 0.0)
    if key is None:
        return base
    all_.fair[lane, "=" + key] = time = max(base, all_.fair.get((lane, "=" + key), 0.0)) + 1.0
    return time


def settle(all_: Tables, outcome: Outcome) -> bool:
    """What became of an attempt; false: it is not the worker's any more."""
    job = all_.mine(outcome.id, outcome.token)
    if job is None:
        return False
    back = outcome.event in (Event.RETRY, Event.RELEASE, Event.SNOOZE)
    if back and job.cancelled:
        said = outcome.error or "It was cancelled."
        _end(all_, job, msgspec.structs.replace(outcome, event=Event.STOP, error=said))
    elif back:
        job.attempt -= outcome.event is not Event.RETRY
        job.error = outcome.error
        job.run_at = None if outcome.event is Event.RELEASE else all_.now + outcome.delay
        _back(all_, job, outcome.event)
    else:
        _end(all_, job, outcome)
    return True


def hand_back(all_: Tables, job: JobRow) -> None:
    """Its worker leaves."""
    if job.cancelled:
        _end(all_, job, _stopped(job, "It was cancelled."))
    else:
        job.attempt -= 1
        _back(all_, job, Event.RELEASE)


def lose(all_: Tables, job: JobRow) -> None:
    """Its worker is gone."""
    if job.cancelled:
        _end(all_, job, _stopped(job, "It was cancelled."))
        return
    event, job.crashes = after_crash(job.crashes, job.begun)
    if event is Event.POISON:
        said = f"Its worker was lost {job.crashes} times while it ran: it is not tried again."
        _end(all_, job, Outcome(id=job.id, token=job.token, event=Event.FAIL, error=said, keep=KEPT))
    else:
        job.attempt -= 1
        _back(all_, job, Event.CRASH)


def cancel(all_: Tables, job: JobRow) -> None:
    """Nobody wants it."""
    if job.state is State.RUNNING:
        job.cancelled = True
    elif after_event(job.state, Event.CANCEL) is not None:
        _end(all_, job, _stopped(job, "It was cancelled before it ran."))


def redo(all_: Tables, job: JobRow) -> bool:
    """Have it run again, if that may be."""
    if after_event(job.state, Event.REDO) is None:
        return False
    if job.unique is not None:
        holder, until = all_.unique.get(job.unique, (job.id, None))
        if holder != job.id and (until is None or until > all_.now):
            return False
        all_.unique[job.unique] = (job.id, None)
    group = all_.groups.get(job.group)
    if group is not None and group.open > 0:
        group.open += 1
    else:
        job.group = job.part = 0
    anew: dict[str, Any] = {"attempt": 0, "crashes": 0, "started": None, "finished": None, "until": None}
    said: dict[str, Any] = {"cancelled": False, "error": "", "traceback": "", "result": None}
    all_.jobs[job.id] = replace(job, state=State.WAITING, vt=0.0, run_at=None, **anew, **said)
    return True


def _stopped(job: JobRow, said: str) -> Outcome:
    return Outcome(id=job.id, token=job.token, event=Event.STOP, error=said, keep=KEPT)


def _back(all_: Tables, job: JobRow, event: Event) -> None:
    state = after_event(job.state, event)
    assert state is not None
    job.state, job.worker, job.progress, job.note = state, None, None, ""
    _free(all_, job)


def _free(all_: Tables, job: JobRow) -> None:
    gates, job.gates = job.gates, ()
    for gate in gates:
        held = [other for other in all_.jobs.values() if other.held == gate]
        for other in sorted(held, key=lambda other: (other.vt, other.id))[:1]:
            other.held = None


def _end(all_: Tables, job: JobRow, outcome: Outcome) -> None:
    event = Event.CANCEL if outcome.event is Event.STOP and job.state is not State.RUNNING else outcome.event
    state = after_event(job.state, event)
    assert state is not None
    now, draft = all_.now, job.draft
    job.state, job.finished, job.until, job.held = state, now, now + outcome.keep, None
    job.result, job.error, job.traceback = outcome.result, outcome.error, outcome.traceback
    job.worker = job.progress = None
    _free(all_, job)
    if job.unique is not None and all_.unique.get(job.unique, (0, None))[0] == job.id:
        if draft.keep_unique:
            all_.unique[job.unique] = (job.id, now + draft.keep_unique)
        else:
            del all_.unique[job.unique]
    group = all_.groups.get(draft.of)
    if group is not None:
        group.then = None
    _follow(all_, job, outcome)
    if outcome.keep <= 0 and not job.group:
        del all_.jobs[job.id]


def _follow(all_: Tables, job: JobRow, outcome: Outcome) -> None:
    """Go on with the chain, or count the group down."""
    if job.draft.then and outcome.event is Event.SUCCEED:
        first, *rest = job.draft.then
        onwards = {"feed": outcome.result, "then": (*first.then, *rest), "group": job.group, "part": job.part}
        job.group = job.part = 0
        store(all_, [msgspec.structs.replace(first, **onwards)])
    elif job.group and (group := all_.groups.get(job.group)) is not None:
        group.open -= 1
        if group.open == 0 and group.then is not None:
            store(all_, [group.then])
