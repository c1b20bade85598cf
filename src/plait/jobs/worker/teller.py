"""`Teller`: turns what a worker does with jobs into events, when anybody listens."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from plait.events import Event, Hub, WorkerCrashed
from plait.jobs import protocol
from plait.jobs.events import JobClaimed, JobCrashed, JobEnded, JobRefused, JobRetried, JobSnoozed
from plait.jobs.records import Claimed, Outcome
from plait.jobs.store import Store
from plait.jobs.worker.lane import Held, JobLane

__all__ = ["LaneHub", "Teller"]

_ENDS = {
    protocol.Event.SUCCEED: protocol.State.DONE,
    protocol.Event.FAIL: protocol.State.FAILED,
    protocol.Event.STOP: protocol.State.CANCELLED,
}


class LaneHub(Hub):
    """A lane's way to the worker's hub: it names the jobs of a process that has died."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.lane: JobLane | None = None

    @property
    def wanted(self) -> bool:  # type: ignore[override]
        """True while anybody listens to the worker."""
        return self._hub.wanted

    def wants(self, kind: type[Event]) -> bool:
        """Whether somebody listens to events of this type."""
        return self._hub.wants(kind)

    def emit(self, event: Event) -> None:
        """Tell it to those who listen to the worker."""
        self._hub.emit(event)
        if isinstance(event, WorkerCrashed) and event.suspects and self.lane is not None:
            for job, held in list(self.lane.held.items()):
                if held.place in event.suspects:
                    task = self.lane.task.name
                    self._hub.emit(JobCrashed(job=job, task=task, pid=event.pid, status=event.status))


class Teller:
    """Tells of claims and outcomes.

    Concurrency: `noticed` from any thread, the others from the keeper's.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._known: dict[tuple[int, int], tuple[str, Held]] = {}  # of outcomes on their way to the store

    def claimed(self, jobs: Iterable[Claimed], store: Store) -> None:
        """The store gave the worker these."""
        if not self._hub.wants(JobClaimed):
            return
        now = store.now()
        for job in jobs:
            said = {"queue": job.queue, "key": job.key, "attempt": job.attempt, "crashes": job.crashes}
            self._hub.emit(JobClaimed(job=job.id, task=job.task, age=max(0.0, now - job.created), **said))  # type: ignore[arg-type]

    def noticed(self, lane: JobLane, job: int) -> None:
        """An outcome of this job is on its way; the lane still has it."""
        held = lane.held.get(job) if self._hub.wanted else None
        if held is not None:
            self._known[job, held.token] = lane.task.name, held

    def took(self, outcomes: Sequence[Outcome], refused: Iterable[int]) -> None:
        """The store has taken these, except the `refused` ones."""
        if not self._known:
            return
        left = set(refused)
        for at, outcome in enumerate(outcomes):
            known = self._known.pop((outcome.id, outcome.token), None)
            if known is not None and self._hub.wanted:
                self._hub.emit(_told(outcome, *known, at in left))

    def settled(self, lane: JobLane, job: int, *, stale: bool) -> None:
        """A job needs no outcome: its task's own transaction has settled it, or it turned out to be somebody else's."""
        held = lane.held.get(job) if self._hub.wanted else None
        if held is not None:
            outcome = Outcome(id=job, token=held.token, event=protocol.Event.SUCCEED)
            self._hub.emit(_told(outcome, lane.task.name, held, refused=stale))


def _told(outcome: Outcome, task: str, held: Held, refused: bool) -> Event:
    job, attempt, seconds = outcome.id, held.attempt, time.monotonic() - held.since
    state = _ENDS.get(outcome.event)
    if refused:
        return JobRefused(job=job, task=task)
    if state is not None:
        return JobEnded(job=job, task=task, attempt=attempt, state=state, error=outcome.error, seconds=seconds)
    if outcome.event is protocol.Event.RETRY:
        said, wait = outcome.error, outcome.delay
        return JobRetried(job=job, task=task, attempt=attempt, delay=wait, error=said, seconds=seconds)
    return JobSnoozed(job=job, task=task, delay=outcome.delay, error=outcome.error)
