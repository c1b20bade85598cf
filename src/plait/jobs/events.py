"""What happens to jobs, as facts, told by workers; `Jobs.observe` hears of them.

They come beside the events of the engine (`plait.events`), whose `stage` is the task: `PlacementChosen` says what a
task runs under and why, `WorkerCrashed` and `WorkerEnded` which process is gone. Only the process in which a worker
runs hears of its jobs: what a store knows of all workers, `Jobs.store` tells.

An attempt has two ends that are seen from here: the claim, and what the store has taken for its outcome. What is to
happen around each attempt in the process that runs it is a resource (`resources=`: a context manager made once a seat)
or a decorator of the function: there are no other hooks.
"""

from __future__ import annotations

from dataclasses import dataclass

from plait.events import Event
from plait.jobs.protocol import State

__all__ = ["JobClaimed", "JobCrashed", "JobEnded", "JobEvent", "JobRefused", "JobRetried", "JobSnoozed", "LeaseLost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent(Event):
    """The parent of what is told of one job."""

    job: int
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobClaimed(JobEvent):
    """The worker has a job, `age` seconds after it was stored; it runs as soon as a place is free."""

    queue: str
    key: str | None
    attempt: int
    crashes: int
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded(JobEvent):
    """A job is done, failed or cancelled, and the store has taken it; `seconds` since it was claimed."""

    attempt: int
    state: State
    error: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRetried(JobEvent):
    """An attempt failed with `error`; the next comes in `delay` seconds, on any worker."""

    attempt: int
    delay: float
    error: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSnoozed(JobEvent):
    """A job comes back in `delay` seconds, and this attempt does not count: it said so, or it cannot run here now."""

    delay: float
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCrashed(JobEvent):
    """A process died with this job begun; the lane runs it again, alone, unless it was the third time."""

    pid: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRefused(JobEvent):
    """What became of a job does not count: it is no longer this worker's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost(Event):
    """The worker was away for longer than its lease: others have its jobs, and it begins anew."""

    worker: int
