"""Upkeep, and counting."""

from __future__ import annotations

from plait.jobs.memory.settle import lose
from plait.jobs.memory.tables import Tables
from plait.jobs.protocol import State
from plait.jobs.records import QueueView

__all__ = ["forget", "queue_view", "recover"]


def recover(all_: Tables, worker: int) -> int:
    """A worker is dead; how many jobs it had."""
    jobs = all_.of(worker)
    for job in jobs:
        lose(all_, job)
    all_.workers.pop(worker, None)
    return len(jobs)


def forget(all_: Tables) -> None:
    """What is kept no longer."""
    for job in list(all_.jobs.values()):
        group = all_.groups.get(job.group)
        needed = group is not None and (group.open > 0 or group.then is not None)
        if job.until is not None and job.until <= all_.now and not needed:
            del all_.jobs[job.id]
    all_.unique = {key: held for key, held in all_.unique.items() if held[1] is None or held[1] > all_.now}


def queue_view(all_: Tables, queue: str, task: str) -> QueueView:
    """How many jobs of a task a queue has."""
    jobs = [job for job in all_.jobs.values() if (job.draft.queue, job.draft.task) == (queue, task)]
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.state.value] = counts.get(job.state.value, 0) + 1
    oldest = min((job.created for job in jobs if job.state is State.WAITING and job.held is None), default=None)
    wait = max(0.0, all_.now - oldest) if oldest is not None else 0.0
    return QueueView(queue=queue, task=task, paused=queue in all_.paused, counts=counts, wait=wait)
