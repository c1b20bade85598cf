"""Claiming: who comes next, as far as gates let them through."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from plait.jobs.memory.tables import JobRow, Lane, Tables
from plait.jobs.protocol import ENDED, State
from plait.jobs.records import Claimed, Part, Rule, Want

__all__ = ["claim", "make_due", "next_due"]

_Gate = tuple[Rule, str]
#: Jobs that are looked at for each that a task with rules may have.
LOOKED_AT = 4


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
    rules = {want.task: want.rules for want in wants if want.rules}
    found: list[Claimed] = []
    opens: list[float] = []
    more = False
    for lane in _lanes(all_, left, queues):
        wanted = lane[0], lane[3]
        count = min(left[wanted], most - len(found))
        if count <= 0:
            more = True
            continue
        taken, rest = _take(all_, lane, count, worker, rules.get(lane[0], ()), opens)
        more = more or rest
        left[wanted] -= len(taken)
        if taken:
            all_.served(lane)
        found += taken
    return found, more, min(opens, default=None)


def _lanes(all_: Tables, wanted: Collection[tuple[str, bool]], queues: Collection[str]) -> list[Lane]:
    """The wanted lanes, the highest priority first; those of one priority take turns."""
    found = [
        lane
        for lane in all_.lanes
        if (lane[0], lane[3]) in wanted and lane[1] not in all_.paused and (not queues or lane[1] in queues)
    ]
    return sorted(found, key=lambda lane: (lane[2], all_.turns.get(lane, 0), all_.lanes[lane]))


def _take(
    all_: Tables, lane: Lane, count: int, worker: int, rules: Sequence[Rule], opens: list[float]
) -> tuple[list[Claimed], bool]:
    """Claim jobs that their gates let through, hold those that a gate of their key stops; whether there may be more."""
    waiting = [job for job in all_.jobs.values() if job.state is State.WAITING and job.held is None]
    waiting = sorted((job for job in waiting if job.lane == lane), key=lambda job: (job.vt, job.id))
    taken: list[Claimed] = []
    page: list[JobRow] = []
    looked = 0
    while len(taken) < count and looked < (LOOKED_AT if rules else 1) * count:
        page = waiting[looked : looked + count - len(taken)]
        if not page:
            break
        for job in page:
            gates = _gates(rules, job.draft.gates)
            stopped = next((gate for gate in gates if not _passes(all_, gate, opens)), None)
            if stopped is None:
                taken.append(_claimed(all_, job, worker, gates))
            elif stopped[0].keyed is None:  # nothing of this task may begin
                return taken, False
            else:
                job.held = stopped[1]
        looked += len(page)
    return taken, bool(page)


def _gates(rules: Sequence[Rule], gates: Sequence[str]) -> list[_Gate]:
    """Those without a key first: one that is shut spares the look at all others."""
    found = [(rule, rule.name) for rule in rules if rule.keyed is None]
    keyed = [(rule.keyed, rule) for rule in rules if rule.keyed is not None and rule.keyed < len(gates)]
    return found + [(rule, f"{rule.name}\x1f{gates[at]}") for at, rule in sorted(keyed, key=lambda each: each[0])]


def _passes(all_: Tables, gate: _Gate, opens: list[float]) -> bool:
    rule, name = gate
    if rule.cap and sum(name in job.gates for job in all_.jobs.values()) >= rule.cap:
        return False
    wait = all_.paces.get(name, 0.0) - all_.now
    if rule.interval and wait > 0:
        opens.append(wait)
        return False
    return True


def _claimed(all_: Tables, job: JobRow, worker: int, gates: Sequence[_Gate]) -> Claimed:
    now, draft = all_.now, job.draft
    for rule, name in gates:
        if rule.interval:
            idle = now - (rule.burst - 1.0) * rule.interval
            all_.paces[name] = max(all_.paces.get(name, 0.0), idle) + rule.interval
    job.gates = tuple(name for rule, name in gates if rule.cap)
    job.state, job.worker, job.started, job.begun = State.RUNNING, worker, now, False
    job.token += 1
    job.attempt += 1
    if job.vt > all_.fair.get((job.lane, ""), 0.0):
        all_.fair[job.lane, ""] = job.vt
    parts = _parts(all_, draft.of) if draft.of else None
    known = job.id, draft.task, draft.args, job.token, job.attempt, job.crashes, job.created
    return Claimed(*known, draft.queue, draft.key, draft.feed, parts, draft.on_error)


def _parts(all_: Tables, group: int) -> tuple[Part, ...]:
    """What became of the parts of a group, in their order."""
    lost = Part(State.FAILED, error="What it came to is not known any more: it was run again by itself.")
    known = all_.groups.get(group)
    parts = [lost] * (known.total if known is not None else 0)
    for job in all_.jobs.values():
        if job.group == group and job.state in ENDED:
            parts[job.part] = Part(job.state, job.result, job.error, job.id)
    return tuple(parts)
