"""`Tables`: everything that a store in memory knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from plait.jobs.protocol import State
from plait.jobs.records import Draft, Filter, ScheduleView, Snapshot, WorkerInfo

__all__ = ["KEPT", "GroupRow", "JobRow", "Lane", "Tables", "WorkerRow", "fits", "snapshot"]

#: Task, queue, rank (the priority, turned round), whether it is of jobs that have lost a worker.
Lane = tuple[str, str, int, bool]

#: Seconds for which jobs are kept that were cancelled, or that crashes have ended.
KEPT = 7 * 86_400.0


@dataclass(slots=True)
class JobRow:
    """A job. gates: those of limits whose places it has, while it runs."""

    id: int
    draft: Draft
    state: State
    created: float
    vt: float = 0.0
    run_at: float | None = None
    token: int = 0
    attempt: int = 0
    crashes: int = 0
    worker: int | None = None
    started: float | None = None
    finished: float | None = None
    until: float | None = None
    cancelled: bool = False
    begun: bool = False
    held: str | None = None
    gates: tuple[str, ...] = ()
    unique: str | None = None
    group: int = 0
    part: int = 0
    progress: float | None = None
    note: str = ""
    error: str = ""
    traceback: str = ""
    result: bytes | None = None

    @property
    def lane(self) -> Lane:
        """Among which jobs it comes in order."""
        return self.draft.task, self.draft.queue, -self.draft.priority, self.crashes > 0


@dataclass(slots=True)
class GroupRow:
    """A group: its parts, how many have not ended, and what comes then."""

    total: int
    open: int
    then: Draft | None

    @property
    def needed(self) -> bool:
        """Whether its parts are still to be counted, or their results to be read."""
        return self.open > 0 or self.then is not None


@dataclass(slots=True)
class WorkerRow:
    """A worker, and until when it has its lease."""

    info: WorkerInfo
    started: float
    until: float


@dataclass(slots=True)
class Tables:
    """What is stored, and the time at which it is looked at."""

    now: float = 0.0
    jobs: dict[int, JobRow] = field(default_factory=dict)
    unique: dict[str, tuple[int, float | None]] = field(default_factory=dict)
    lanes: dict[Lane, int] = field(default_factory=dict)
    turns: dict[Lane, int] = field(default_factory=dict)
    fair: dict[tuple[Lane, str], float] = field(default_factory=dict)
    paces: dict[str, float] = field(default_factory=dict)
    groups: dict[int, GroupRow] = field(default_factory=dict)
    workers: dict[int, WorkerRow] = field(default_factory=dict)
    schedules: dict[str, ScheduleView] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, kind: str) -> int:
        """A new number, which is never used again."""
        self.numbers[kind] = number = self.numbers.get(kind, 0) + 1
        return number

    def open(self, lane: Lane) -> None:
        """There are jobs in a lane."""
        if lane not in self.lanes:
            self.lanes[lane] = self.number("lane")

    def served(self, lane: Lane) -> None:
        """A lane has had its turn."""
        self.turns[lane] = self.number("turn")

    def known(self, ids: Any) -> list[JobRow]:
        """Those of `ids` that are known."""
        return [self.jobs[job] for job in dict.fromkeys(ids) if job in self.jobs]

    def of(self, worker: int) -> list[JobRow]:
        """Jobs that a worker has."""
        return [job for job in self.jobs.values() if job.state is State.RUNNING and job.worker == worker]

    def mine(self, job: int, token: int, worker: int | None = None) -> JobRow | None:
        """The running job whose last token this is; given a worker, only if that has it."""
        found = self.jobs.get(job)
        if found is None or found.state is not State.RUNNING or found.token != token:
            return None
        return found if worker is None or worker == found.worker else None


def fits(job: JobRow, which: Filter) -> bool:
    """Whether a filter lets a job through."""
    draft = job.draft
    return (
        (not which.states or job.state in which.states)
        and which.task in (None, draft.task)
        and which.queue in (None, draft.queue)
        and which.key in (None, draft.key)
        and (which.before is None or job.id < which.before)
    )


def snapshot(job: JobRow, **further: Any) -> Snapshot:
    """A job as people see it."""
    draft = job.draft
    return Snapshot(
        id=job.id,
        task=draft.task,
        queue=draft.queue,
        state=job.state,
        priority=draft.priority,
        attempt=job.attempt,
        crashes=job.crashes,
        created=job.created,
        run_at=job.run_at,
        started=job.started,
        finished=job.finished,
        worker=job.worker,
        key=draft.key,
        unique=draft.unique if job.unique is not None else None,
        progress=job.progress,
        note=job.note,
        held=job.held.replace("\x1f", "/") if job.held is not None else None,
        stopping=job.cancelled and job.state is State.RUNNING,
        error=job.error,
        group=job.group,
        **further,
    )
