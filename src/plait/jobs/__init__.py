"""A durable queue: jobs that are stored before they run, workers for every kind of task, and a scheduler.

    enqueue ──> Store (a SQLite file, PostgreSQL, memory) <──claims, outcomes──> worker: a lane a task, each measured

`protocol` says which states a job goes through, `records` what is said about it, `store` what every store has to do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plait.jobs.handle import Group, Job
    from plait.jobs.jobs import Jobs
    from plait.jobs.protocol import State
    from plait.jobs.task import JobTask, by_key
    from plait.jobs.worker.perform import Snooze, current

__all__ = ["Group", "Job", "JobTask", "Jobs", "Snooze", "State", "by_key", "current"]

_WHERE = {
    "Group": "plait.jobs.handle",
    "Job": "plait.jobs.handle",
    "JobTask": "plait.jobs.task",
    "Jobs": "plait.jobs.jobs",
    "Snooze": "plait.jobs.worker.perform",
    "State": "plait.jobs.protocol",
    "by_key": "plait.jobs.task",
    "current": "plait.jobs.worker.perform",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'plait.jobs' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
