"""Storing jobs, and what becomes of them when an attempt has ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from plait.jobs.memory.tables import KEPT, GroupRow, JobRow, Lane, Tables
from plait.jobs.protocol import Event, State, after_crash, after_event
from plait.jobs.records import NOTHING, Draft, Fan, Outcome, Placed

__all__ = ["cancel", "come_back", "fan_out", "hand_back", "lose", "redo", "settle", "store"]


def fan_out(all_: Tables, drafts: Sequence[Draft], fan: Fan | None) -> tuple[list[Placed], int]:
    """Store jobs, as a group if there is a `fan`; where they went, and its number."""
    group = 0
    if fan is not None:
        group = all_.number("group")
        then = msgspec.structs.replace(fan.then, of=group) if fan.then is not None else None
        all_.groups[group] = GroupRow(fan.total, fan.total, then)
        if fan.total == 0 and then is not None:
            _go_on(all_, [then])
    return store(all_, drafts, group), group


def store(all_: Tables, drafts: Sequence[Draft], group: int = 0) -> list[Placed]:
    """Store jobs; where each went."""
    now, placed = all_.now, []
    for part, draft in enumerate(drafts):
        its_own = draft.unique is not None and not group and not draft.group
        unique = f"{draft.task}\x1f{draft.unique}" if its_own else None
        if unique is not None:
            holder, until = all_.unique.get(unique, (0, 0.0))
            if holder and (until is None or until > now):
                placed.append(Placed(holder, fresh=False))
                continue
        run_at = max(draft.at, now + draft.delay)
        state = after_event(None, Event.POSTPONE if run_at > now else Event.ENQUEUE)
        assert state is not None
        job = JobRow(all_.number("job"), draft, state, now, run_at=run_at if run_at > now else None, unique=unique)
        all_.open(job.lane)
        job.vt = _virtual_time(all_, job.lane, draft.key)
        job.group, job.part = (group, part) if group else (draft.group, draft.part)
        all_.jobs[job.id] = job
        if unique is not None:
            all_.unique[unique] = (job.id, None)
        placed.append(Placed(job.id))
    return placed


def _go_on(all_: Tables, drafts: Sequence[Draft]) -> None:
    """Store what follows from the end of others."""
    for draft, placed in zip(drafts, store(all_, drafts), strict=True):
        if draft.of and not placed.fresh:  # nobody will ask for the parts
            _release(all_, draft.of)


def _release(all_: Tables, group: int) -> None:
    """Nobody needs the parts of a group any more."""
    if group in all_.groups:
        all_.groups[group].then = None


def _virtual_time(all_: Tables, lane: Lane, key: str | None) -> float:
    base = all_.fair.get((lane, ""), 0.0)
    if key is None:
        return base
    all_.fair[lane, "=" + key] = time = max(base, all_.fair.get((lane, "=" + key), 0.0)) + 1.0
    return time


def settle(all_: Tables, outcomes: Sequence[Outcome], worker: int | None = None) -> list[int]:
    """What became of attempts; the positions of those that are not the worker's any more."""
    refused: list[int] = []
    ended: list[tuple[JobRow, Outcome]] = []
    for at, outcome in enumerate(outcomes):
        job = all_.mine(outcome.id, outcome.token, worker)
        if job is None:
            refused.append(at)
        elif outcome.event not in (Event.RETRY, Event.RELEASE, Event.SNOOZE):
            ended.append((_ended(all_, job, outcome), outcome))
        elif job.cancelled:
            said = outcome.error or "It was cancelled."
            outcome = msgspec.structs.replace(outcome, event=Event.STOP, error=said)
            ended.append((_ended(all_, job, outcome), outcome))
        else:
            job.attempt -= outcome.event is not Event.RETRY
            job.error = outcome.error
            job.run_at = None if outcome.event is Event.RELEASE else all_.now + outcome.delay
            _back(all_, job, outcome.event)
    _follow(all_, ended)
    return refused


def hand_back(all_: Tables, jobs: Sequence[JobRow]) -> int:
    """Their worker leaves; how many are handed back."""
    _stop(all_, [job for job in jobs if job.cancelled])
    rest = [job for job in jobs if job.state is State.RUNNING]
    for job in rest:
        job.attempt -= 1
        _back(all_, job, Event.RELEASE)
    return len(rest)


def lose(all_: Tables, jobs: Sequence[JobRow]) -> None:
    """Their worker is gone."""
    _stop(all_, [job for job in jobs if job.cancelled])
    poisoned: list[tuple[JobRow, Outcome]] = []
    rest = [job for job in jobs if job.state is State.RUNNING]
    for job in sorted(rest, key=lambda job: all_.lanes[job.lane]):
        event, crashes = after_crash(job.crashes, job.begun)
        if event is Event.POISON:
            said = f"Its worker was lost {crashes} times while it ran: it is not tried again."
            outcome = Outcome(id=job.id, token=job.token, event=Event.FAIL, error=said, keep=KEPT)
            poisoned.append((_ended(all_, job, outcome), outcome))
            job.crashes = crashes
    _follow(all_, poisoned)
    for job in sorted((job for job in rest if job.state is State.RUNNING), key=lambda job: all_.lanes[job.lane]):
        _, job.crashes = after_crash(job.crashes, job.begun)
        job.attempt -= 1
        all_.open(job.lane)
        _back(all_, job, Event.CRASH)


def cancel(all_: Tables, jobs: Iterable[JobRow]) -> None:
    """Nobody wants them."""
    ended: list[tuple[JobRow, Outcome]] = []
    for job in jobs:
        if job.state is State.RUNNING:
            job.cancelled = True
        elif after_event(job.state, Event.CANCEL) is not None:
            outcome = _stopped(job, "It was cancelled before it ran.")
            ended.append((_ended(all_, job, outcome), outcome))
    _follow(all_, ended)


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


def come_back(all_: Tables, gate: str, count: int) -> None:
    """Have the first of those that a gate holds wait again; those of paused queues come last."""

    def place(job: JobRow) -> tuple[bool, int, int, float, int]:
        return job.draft.queue in all_.paused, job.lane[2], all_.lanes[job.lane], job.vt, job.id

    held = [job for job in all_.jobs.values() if job.held == gate]
    for job in sorted(held, key=place)[:count]:
        job.held = None


def _stopped(job: JobRow, said: str) -> Outcome:
    return Outcome(id=job.id, token=job.token, event=Event.STOP, error=said, keep=KEPT)


def _stop(all_: Tables, jobs: Sequence[JobRow]) -> None:
    outcomes = [_stopped(job, "It was cancelled.") for job in jobs]
    _follow(all_, [(_ended(all_, job, outcome), outcome) for job, outcome in zip(jobs, outcomes, strict=True)])


def _back(all_: Tables, job: JobRow, event: Event) -> None:
    state = after_event(job.state, event)
    assert state is not None
    job.state, job.worker, job.progress, job.note = state, None, None, ""
    _free(all_, job)


def _free(all_: Tables, job: JobRow) -> None:
    gates, job.gates = job.gates, ()
    for gate in gates:
        come_back(all_, gate, 1)


def _ended(all_: Tables, job: JobRow, outcome: Outcome) -> JobRow:
    """End a job; what follows from that comes later."""
    event = Event.CANCEL if outcome.event is Event.STOP and job.state is not State.RUNNING else outcome.event
    state = after_event(job.state, event)
    assert state is not None
    now = all_.now
    job.state, job.finished, job.until, job.held, job.run_at = state, now, now + outcome.keep, None, None
    job.result, job.error, job.traceback = outcome.result, outcome.error, outcome.traceback
    job.worker, job.progress, job.note = None, None, ""
    return job


def _follow(all_: Tables, ended: Sequence[tuple[JobRow, Outcome]]) -> None:
    """What follows from the end of jobs: gates, keys, groups, chains; then some are forgotten."""
    onwards: list[Draft] = []
    closed: list[int] = []
    for job, outcome in ended:
        _free(all_, job)
        if job.unique is not None and all_.unique.get(job.unique, (0, None))[0] == job.id:
            if job.draft.keep_unique:
                all_.unique[job.unique] = (job.id, all_.now + job.draft.keep_unique)
            else:
                del all_.unique[job.unique]
        if job.draft.then and outcome.event is Event.SUCCEED:
            first, *rest = job.draft.then
            result = outcome.result if outcome.result is not None else NOTHING
            feed: dict[str, Any] = {"feed": result, "then": (*first.then, *rest)}
            onwards.append(msgspec.structs.replace(first, **feed, group=job.group, part=job.part))
            job.group = job.part = 0
        elif job.group in all_.groups:
            all_.groups[job.group].open -= 1
            closed.append(job.group)
        forgotten = outcome.keep <= 0 and not job.group
        if job.draft.of and (forgotten or job.state is State.DONE):
            _release(all_, job.draft.of)
        if forgotten:
            del all_.jobs[job.id]
    groups = [all_.groups[group] for group in sorted(set(closed))]
    _go_on(all_, onwards + [group.then for group in groups if group.open == 0 and group.then is not None])
