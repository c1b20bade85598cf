"""Why a job has not ended: its queue is paused, no worker knows its task, its time has not come, it runs."""

from __future__ import annotations

from collections.abc import Iterable

from plait.jobs.protocol import State
from plait.jobs.records import Snapshot, WorkerView
from plait.jobs.store import Store

__all__ = ["age", "alive", "is_served", "why_not_ended"]

#: Units of ages, the largest that is there twice.
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def age(seconds: float) -> str:
    """A span in words: `"12 s"`, `"3 min"`, `"50 h"`, `"4 d"`."""
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds // size:,.0f} {unit}"
    return f"{max(0.0, seconds):.1f} s"


def alive(workers: Iterable[WorkerView]) -> list[WorkerView]:
    """Those that have a lease."""
    return [one for one in workers if one.lease > 0]


def is_served(task: str, queue: str, workers: Iterable[WorkerView]) -> bool:
    """Whether one of `workers` runs the jobs of a task in a queue."""
    served = (one.info.queues for one in alive(workers) if task in one.info.tasks)
    return any(not queues or queue in queues for queues in served)


def why_not_ended(store: Store, job: Snapshot) -> str:
    """What a job that has not ended waits for, or where it runs; nothing is said of one that has."""
    match job.state:
        case State.SCHEDULED:
            wait = age((job.run_at or 0.0) - store.now())
            if job.error:
                return f"its last attempt did not succeed ({job.error}), and the next comes in {wait}"
            return f"its time comes in {wait}"
        case State.WAITING:
            return _why_waiting(store, job)
        case State.RUNNING:
            return _where(store, job)
    return ""


def _why_waiting(store: Store, job: Snapshot) -> str:
    if job.queue in store.paused():
        return f"its queue {job.queue!r} is paused (plait jobs resume)"
    workers = alive(store.workers())
    if not workers:
        return "no worker is running (plait work, or jobs.worker(), starts one)"
    if not any(job.task in one.info.tasks for one in workers):
        return f"no worker that is running knows its task {job.task!r}"
    if not is_served(job.task, job.queue, workers):
        return f"no worker that is running and knows its task serves its queue {job.queue!r}"
    if job.held is not None:
        return f"{job.held} holds it until there is room"
    if job.crashes:
        return "a worker was lost with it, so it is to run alone, when those like it have ended"
    return "a worker that serves it is running, and has not come to it yet"


def _where(store: Store, job: Snapshot) -> str:
    since = f"for {age(store.now() - job.started)} now" if job.started is not None else "now"
    on = next((one for one in store.workers() if one.id == job.worker), None)
    said = f"{since}, by worker {job.worker}"
    if on is not None:
        said += f" (process {on.info.pid} on {on.info.host})"
        said += "" if on.lease > 0 else ", whose lease has run out: others will run it again"
    return said + (", and is being stopped" if job.stopping else "")
