"""Claiming: who comes next, as far as gates let them through."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from plait.jobs.memory.tables import JobRow, Tables
from plait.jobs.protocol import ENDED, State
from plait.jobs.records import Claimed, Part, Rule, Want

__all__ = ["claim", "make_due", "next_due"]

_Gate = tuple[Rule, str]


def make_due(all_: Tables) -> None:
    """Have those wait whose time has come."""
    for job in all_.jobs.values():
        if job.state is State.SCHEDULED and job.run_at is not None and job.run_at <= all_.now:
            job.state = State.WAITING


def next_due(all_: Tables, opens: float | None) -> float | None:
    """Seconds until the next one's time comes, or a gate opens."""
    later = [job.run_at - all_.now for job in all_.jobs.values() if job.state is State.SCHEDULED and job.run_at]
    return min((*later, *([opens] if opens is not None else [])), default=None)


def claim(
    all_: Tables, worker: int, wants: Sequence[Want], queues: Collection[str], most: int
) -> tuple[list[Claimed], bool, float | None]:
    """Claim jobs; whether there may be more, and seconds until a gate opens."""
    left = {(want.task, want.alone): want.count for want in wants if want.count > 0}
    rules = {want.task: want.rules for want in wants}
    found: list[Claimed] = []
    opens: list[float] = []
    shut: set[str] = set()
    more = False
    for job in _in_order(all_, queues):
        task, which = job.draft.task, (job.draft.task, job.crashes > 0)
        if which not in left or task in shut:
            continue
        if left[which] == 0 or len(found) >= most:
            more = True
            continue
        gates = _gates(rules[task], job.draft.gates)
        stopped = next((gate for gate in gates if not _passes(all_, gate, opens)), None)
        if stopped is not None and stopped[0].keyed is None:
            shut.add(task)
        elif stopped is not None:
            job.held = stopped[1]
        else:
            left[which] -= 1
            found.append(_take(all_, job, worker, gates))
    return found, more, min(opens, default=None)


def _in_order(all_: Tables, queues: Collection[str]) -> list[JobRow]:
    waiting = [
        job
        for job in all_.jobs.values()
        if job.state is State.WAITING
        and job.held is None
        and job.draft.queue not in all_.paused
        and (not queues or job.draft.queue in queues)
    ]
    return sorted(waiting, key=lambda job: (-job.draft.priority, job.vt, job.id))


def _gates(rules: Sequence[Rule], gates: Sequence[str]) -> list[_Gate]:
    found = [(rule, rule.name) for rule in rules if rule.keyed is None]
    keyed = [rule for rule in rules if rule.keyed is not None and rule.keyed < len(gates)]
    return found + [(rule, f"{rule.name}\x1f{gates[rule.keyed]}") for rule in keyed if rule.keyed is not None]


def _passes(all_: Tables, gate: _Gate, opens: list[float]) -> bool:
    rule, name = gate
    if rule.cap and sum(name in job.gates for job in all_.jobs.values()) >= rule.cap:
        return False
    wait = all_.paces.get(name, 0.0) - all_.now
    if rule.interval and wait > 0:
        opens.append(wait)
        return False
    return True


def _take(all_: Tables, job: JobRow, worker: int, gates: Sequence[_Gate]) -> Claimed:
    now, draft = all_.now, job.draft
    for rule, name in gates:
        if rule.interval:
            idle = now - (rule.burst - 1.0) * rule.interval
            all_.paces[name] = max(all_.paces.get(name, 0.0), idle) + rule.interval
    job.gates = tuple(name for rule, name in gates if rule.cap)
    job.state, job.worker, job.started, job.begun = State.RUNNING, worker, now, False
    job.token += 1
    job.attempt += 1
    lane: tuple[Any, str] = (job.lane, "")
    if job.vt > all_.fair.get(lane, 0.0):
        all_.fair[lane] = job.vt
    parts = _parts(all_, draft.of) if draft.of else None
    known = job.id, draft.task, draft.args, job.token, job.attempt, job.crashes, job.created
    return Claimed(*known, draft.queue, draft.key, draft.feed, parts, draft.on_error)


def _parts(all_: Tables, group: int) -> tuple[Part, ...]:
    """What became of the parts of a group, in their order."""
    lost = Part(State.FAILED, error="What it came to is not known any more: it was run again by itself.")
    parts = [lost] * all_.groups[group].total
    for job in all_.jobs.values():
        if job.group == group and job.state in ENDED:
            parts[job.part] = Part(job.state, job.result, job.error, job.id)
    return tuple(parts)
