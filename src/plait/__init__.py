"""Plait runs your functions under the concurrency model that fits them, because it measured, and tells you why.

Nothing heavy is imported before it is needed: each public name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from plait._version import __version__

if TYPE_CHECKING:
    from plait import events
    from plait.engine.regroup import Window
    from plait.errors import (
        ArgumentRefused,
        CannotTravel,
        ConnectionRefused,
        FunctionStopped,
        ItemTimeout,
        JobCancelled,
        JobFailed,
        JobUnknown,
        JournalBusy,
        JournalChanged,
        JournalError,
        MissingExtra,
        OptionError,
        PlaitError,
        QueueMoved,
        ResultTimeout,
        RunCancelled,
        RunUsedTwice,
        StartFailed,
        StoreBusy,
        StoreError,
        TooManyFailures,
        UnknownOption,
        WorkerLost,
    )
    from plait.failure import Failure
    from plait.jobs.jobs import Jobs
    from plait.journal.journal import Journal
    from plait.placement import Placement
    from plait.places.processes.pool import Pool, default_pool
    from plait.policy.hedge import Hedge
    from plait.policy.limit import Limit
    from plait.policy.rate import Rate
    from plait.policy.retry import Retry
    from plait.surface import read, write
    from plait.surface.advise import Advice, advise
    from plait.surface.flow import Flow, flow
    from plait.surface.map import map, starmap
    from plait.surface.report import Report
    from plait.surface.run import Run
    from plait.surface.task import Task, task

__all__ = [
    "Advice",
    "ArgumentRefused",
    "CannotTravel",
    "ConnectionRefused",
    "Failure",
    "Flow",
    "FunctionStopped",
    "Hedge",
    "ItemTimeout",
    "JobCancelled",
    "JobFailed",
    "JobUnknown",
    "Jobs",
    "Journal",
    "JournalBusy",
    "JournalChanged",
    "JournalError",
    "Limit",
    "MissingExtra",
    "OptionError",
    "Placement",
    "PlaitError",
    "Pool",
    "QueueMoved",
    "Rate",
    "Report",
    "ResultTimeout",
    "Retry",
    "Run",
    "RunCancelled",
    "RunUsedTwice",
    "StartFailed",
    "StoreBusy",
    "StoreError",
    "Task",
    "TooManyFailures",
    "UnknownOption",
    "Window",
    "WorkerLost",
    "__version__",
    "advise",
    "default_pool",
    "events",
    "flow",
    "map",
    "read",
    "starmap",
    "task",
    "write",
]

_HOMES = {
    "plait.failure": ("Failure",),
    "plait.placement": ("Placement",),
    "plait.engine.regroup": ("Window",),
    "plait.journal.journal": ("Journal",),
    "plait.jobs.jobs": ("Jobs",),
    "plait.policy.hedge": ("Hedge",),
    "plait.policy.limit": ("Limit",),
    "plait.policy.rate": ("Rate",),
    "plait.policy.retry": ("Retry",),
    "plait.places.processes.pool": ("Pool", "default_pool"),
    "plait.surface.advise": ("Advice", "advise"),
    "plait.surface.flow": ("Flow", "flow"),
    "plait.surface.map": ("map", "starmap"),
    "plait.surface.report": ("Report",),
    "plait.surface.run": ("Run",),
    "plait.surface.task": ("Task", "task"),
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = {"events": "plait.events", "read": "plait.surface.read", "write": "plait.surface.write"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        thing: Any = importlib.import_module(_MODULES[name])
    elif name in __all__:
        thing = getattr(importlib.import_module(_WHERE.get(name, "plait.errors")), name)
    else:
        raise AttributeError(f"module 'plait' has no attribute {name!r}")
    globals()[name] = thing
    return thing


def __dir__() -> list[str]:
    return sorted(__all__)
