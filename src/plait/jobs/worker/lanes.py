"""`Lanes`: the lanes of a worker, one a task, opened when jobs come and closed when there are none for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from plait.engine.figures import Figures
from plait.events import Hub
from plait.jobs.protocol import Event
from plait.jobs.records import Claimed, Outcome, Want
from plait.jobs.spec import TaskSpec
from plait.jobs.worker.lane import JobLane
from plait.jobs.worker.suspects import Suspects
from plait.jobs.worker.teller import LaneHub

__all__ = ["Lanes"]

log = logging.getLogger("plait")

#: Seconds without a job after which a lane gives its workers back.
IDLE = 30.0
#: Seconds for which no jobs of a task are claimed whose lane broke: from, to.
REST = 5.0, 60.0
_RESTED = 0.0, 0.0, ""


class Lanes:
    """All lanes of a worker.

    Jobs that have lost a worker before, suspects, run in a lane apart, each alone in a process: what one may kill is
    only that.

    Concurrency: `wants`, `offer`, `admitted`, `run_apart` and `tidy` belong to the keeper's thread.
    """

    def __init__(self, tasks: Mapping[str, TaskSpec], hub: Hub, post: str) -> None:
        self._tasks, self._hub, self._post = tasks, hub, post
        self._places_apart = {name: task.apart for name, task in tasks.items()}
        self._lanes: dict[str, JobLane] = {}
        self._apart: dict[str, JobLane] = {}
        self._suspects = Suspects()
        self._resting: dict[str, tuple[float, float, str]] = {}  # broken tasks: until when, for how long, why
        #: What the last lane of each task has counted.
        self.figures: dict[str, Figures] = {}
        self.deliver: Callable[[JobLane, list[Any]], None] = lambda lane, results: None
        self.hand_back: Callable[[JobLane, str, float], None] = lambda lane, why, delay: None
        self.settle: Callable[[Outcome], None] = lambda outcome: None

    @property
    def held(self) -> int:
        """Jobs that the worker has."""
        waiting = len(self._suspects.waiting)  # first: from there they go to a lane
        return waiting + sum(len(lane.held) for lane in self.all())

    def all(self) -> list[JobLane]:
        """Every open lane."""
        return [*self._lanes.values(), *self._apart.values()]

    def jobs(self) -> dict[int, int]:
        """Every job that the worker has, and its token."""
        waiting = {job.id: job.token for job in list(self._suspects.waiting)}
        return waiting | self.in_lanes()

    def in_lanes(self) -> dict[int, int]:
        """Those of them that a lane has."""
        return {job: held.token for lane in self.all() for job, held in list(lane.held.items())}

    def wants(self) -> list[Want]:
        """How many jobs of each task there is room for."""
        wants = []
        alone = self._suspects.wanted(self._in_hand_apart(), time.monotonic())
        for name, task in self._tasks.items():
            if self._rests(name):
                continue
            lane, apart = self._lanes.get(name), self._apart.get(name)
            count = 1 if lane is None else lane.want()
            if count > 0:
                wants.append(Want(name, count, task.store_rules))
            count = self._places_apart[name] if apart is None else apart.want()
            if alone and count > 0:
                wants.append(Want(name, count, task.store_rules, alone=True))
        return wants

    def _rests(self, name: str) -> bool:
        return bool(self._resting) and self._resting.get(name, _RESTED)[0] > time.monotonic()

    def offer(self, name: str, jobs: list[Claimed]) -> None:
        """Run these jobs of a task; the suspects among them wait until they are `admitted`."""
        others = [job for job in jobs if not job.crashes]
        if others:
            self._put(self._open(self._lanes, name, 0), others)
        self._suspects.add([job for job in jobs if job.crashes])

    def admitted(self, unsettled: Callable[[], Collection[int]]) -> Iterator[Claimed]:
        """Suspects that may run now, each to be run by `run_apart`.

        Parameters:
            unsettled: jobs that have ended, unknown to the store: to it they are still among those that have begun.
        """
        if self._suspects.waiting:
            in_hand = dict.fromkeys(unsettled(), True) | self._in_hand_apart()
            yield from self._suspects.admitted(in_hand, time.monotonic())

    def run_apart(self, name: str, jobs: list[Claimed]) -> None:
        """Run these suspects of a task."""
        if not self._rests(name):
            self._put(self._open(self._apart, name, self._places_apart[name]), jobs)
            return
        why = self._resting.get(name, _RESTED)[2]
        for job in jobs:
            self.settle(Outcome(id=job.id, token=job.token, event=Event.SNOOZE, delay=REST[0], error=why))

    def _in_hand_apart(self) -> dict[int, bool]:
        """Suspects that a lane has, and whether they have begun."""
        return {job: lane.begun(job) for lane in list(self._apart.values()) for job in list(lane.held)}

    def _put(self, lane: JobLane, jobs: list[Claimed]) -> None:
        lane.offer(jobs)
        if lane.over:  # it broke at this very moment, and may have handed back its jobs before these came
            self.hand_back(lane, "", REST[0])

    def _open(self, lanes: dict[str, JobLane], name: str, apart: int) -> JobLane:
        lane = lanes.get(name)
        if lane is None or lane.over:
            hub = LaneHub(self._hub)
            lane = lanes[name] = hub.lane = JobLane(
                self._tasks[name], hub, self._post, apart=apart, deliver=self.deliver, broken=self._broken
            )
            if not apart or name not in self.figures:
                self.figures[name] = lane.drive.figures
        return lane

    def _broken(self, lane: JobLane, error: BaseException | None) -> None:
        """A lane ended by itself: its function cannot be loaded, or no process be started.

        Nothing of the task is claimed for a while: it would only be handed back, again and again.
        """
        for lanes in (self._lanes, self._apart):
            for name, known in list(lanes.items()):
                if known is lane:
                    del lanes[name]
        name, why = lane.task.name, f"{type(error).__name__}: {error}" if error is not None else ""
        _, before, told = self._resting.get(name, _RESTED)
        rest = min(REST[1], max(REST[0], 2 * before))
        self._resting[name] = time.monotonic() + rest, rest, why
        if error is not None:
            trace = error if why != told else None  # in full only once
            said = "Task %r cannot run here, its jobs are handed back; tried again in %.0f s: %s"
            log.error(said, name, rest, error, exc_info=trace)
        self.hand_back(lane, why, REST[0])
        threading.Thread(target=lane.close, name="plait-lane-end", daemon=True).start()

    def works(self, name: str) -> None:
        """A job of the task came to an end: its lane is sound."""
        if self._resting:
            self._resting.pop(name, None)

    def stop(self, job: int) -> None:
        """End a job that nobody wants, if it is begun or was not to begin yet."""
        for waiting in list(self._suspects.waiting):
            if waiting.id == job:
                self.settle(Outcome(id=job, token=waiting.token, event=Event.STOP))
                self._suspects.drop(waiting)
        for lane in self.all():
            if lane.stop(job):
                return

    def tidy(self) -> None:
        """Close lanes that have had nothing to do for a while."""
        now = time.monotonic()
        for lanes in (self._lanes, self._apart):
            for name, lane in list(lanes.items()):
                if not lane.held and now - lane.idle_since > IDLE:
                    del lanes[name]
                    threading.Thread(target=lane.close, name="plait-lane-end", daemon=True).start()

    def close(self) -> None:
        """End all of them, whatever they have in hand."""
        closing = [threading.Thread(target=lane.close, daemon=True) for lane in self.all()]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(5.0)
        self._lanes.clear()
        self._apart.clear()
        self._suspects = Suspects()
