"""Jobs that wait for a worker that is not there: none that is registered has their task, or serves their queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plait.cli.job_words import plain
from plait.jobs.protocol import State
from plait.jobs.reasons import alive, is_served
from plait.jobs.records import QueueView, WorkerView

__all__ = ["unserved"]


def unserved(queues: Iterable[QueueView], workers: Sequence[WorkerView]) -> dict[tuple[str, str], str]:
    """What is to be said of jobs that none of `workers` runs, by their queue and task; nothing where there are none."""
    there = alive(workers)
    return {
        (view.queue, view.task): _said(view, count, any(view.task in one.info.tasks for one in there))
        for view in queues
        if there and (count := _waiting(view)) and not is_served(view.task, view.queue, there)
    }


def _waiting(view: QueueView) -> int:
    return sum(view.counts.get(state.value, 0) for state in (State.SCHEDULED, State.WAITING))


def _said(view: QueueView, count: int, known: bool) -> str:
    task, queue, jobs = repr(plain(view.task)), repr(plain(view.queue)), "job waits" if count == 1 else "jobs wait"
    if known:
        return f"No worker serves queue {queue} and knows {task}: {count:,} {jobs} for one that does."
    where = jobs.replace(" ", f" in queue {queue} ", 1)
    return f"No worker here knows the task {task}: {count:,} {where} for one that does."
