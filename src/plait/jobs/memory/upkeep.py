"""Upkeep, and counting."""

from __future__ import annotations

from plait.jobs.losses import Loss
from plait.jobs.memory.settle import come_back, lose
from plait.jobs.memory.tables import Tables
from plait.jobs.protocol import State
from plait.jobs.records import QueueView

__all__ = ["forget", "open_gates", "queue_view", "recover"]


def recover(all_: Tables, worker: int) -> Loss:
    """A worker is dead."""
    jobs = all_.of(worker)
    lose(all_, jobs)
    known = all_.workers.pop(worker, None)
    poisoned = tuple(job.id for job in jobs if job.state is State.FAILED)
    stopped = sum(job.state is State.CANCELLED for job in jobs)
    again = len(jobs) - len(poisoned) - stopped
    info = known.info if known is not None else None
    return Loss(worker=worker, info=info, again=again, poisoned=poisoned, stopped=stopped)


def open_gates(all_: Tables, most: int = 64) -> None:
    """Let some jobs come back to gates that may have room: a claim holds those again that still may not pass."""
    for gate in sorted({job.held for job in all_.jobs.values() if job.held is not None}):
        if all_.paces.get(gate, 0.0) <= all_.now:
            taken = any(gate in job.gates for job in all_.jobs.values())
            come_back(all_, gate, 1 if taken and gate not in all_.paces else most)
    all_.paces = {gate: earliest for gate, earliest in all_.paces.items() if earliest >= all_.now - 86_400.0}


def forget(all_: Tables) -> None:
    """What is kept no longer. Parts stay until their group is done with."""
    past = [job for job in all_.jobs.values() if job.until is not None and job.until <= all_.now]
    for job in [job for job in past if job.group not in all_.groups or not all_.groups[job.group].needed]:
        del all_.jobs[job.id]
        if job.draft.of in all_.groups:
            all_.groups[job.draft.of].then = None
    all_.unique = {key: held for key, held in all_.unique.items() if held[1] is None or held[1] > all_.now}
    parts = {job.group for job in all_.jobs.values() if job.until is not None}
    all_.groups = {name: group for name, group in all_.groups.items() if group.needed or name in parts}


def queue_view(all_: Tables, queue: str, task: str) -> QueueView:
    """How many jobs of a task a queue has."""
    jobs = [job for job in all_.jobs.values() if (job.draft.queue, job.draft.task) == (queue, task)]
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.state.value] = counts.get(job.state.value, 0) + 1
    oldest = min((job.created for job in jobs if job.state is State.WAITING and job.held is None), default=None)
    wait = max(0.0, all_.now - oldest) if oldest is not None else 0.0
    return QueueView(queue=queue, task=task, paused=queue in all_.paused, counts=counts, wait=wait)
