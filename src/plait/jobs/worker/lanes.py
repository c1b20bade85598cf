"""`Lanes`: the lanes of a worker, one a task, opened when jobs come and closed when there are none for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from plait.engine.figures import Figures
from plait.events import Hub
from plait.jobs.protocol import CRASHES
from plait.jobs.records import Claimed, Want
from plait.jobs.spec import TaskSpec
from plait.jobs.worker.lane import JobLane
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

    Jobs that have lost a worker before run in a lane apart, each alone in a process: what one may kill is only that.

    Concurrency: `wants`, `offer` and `tidy` belong to the keeper's thread.
    """

    def __init__(self, tasks: Mapping[str, TaskSpec], hub: Hub, post: str) -> None:
        self._tasks, self._hub, self._post = tasks, hub, post
        self._places_apart = {name: task.apart for name, task in tasks.items()}
        self._lanes: dict[str, JobLane] = {}
        self._apart: dict[str, JobLane] = {}
        self._last: int | None = None  # a suspect that runs while no other does
        self._resting: dict[str, tuple[float, float, str]] = {}  # broken tasks: until when, for how long, why
        #: What the last lane of each task has counted.
        self.figures: dict[str, Figures] = {}
        self.deliver: Callable[[JobLane, list[Any]], None] = lambda lane, results: None
        self.put_off: Callable[[list[Claimed]], None] = lambda jobs: None
        self.hand_back: Callable[[JobLane, str, float], None] = lambda lane, why, delay: None

    @property
    def held(self) -> int:
        """Jobs that the worker has."""
        return sum(len(lane.held) for lane in self.all())

    def all(self) -> list[JobLane]:
        """Every open lane."""
        return [*self._lanes.values(), *self._apart.values()]

    def jobs(self) -> dict[int, int]:
        """Every job that the worker has, and its token."""
        return {job: held.token for lane in self.all() for job, held in list(lane.held.items())}

    def wants(self) -> list[Want]:
        """How many jobs of each task there is room for."""
        wants = []
        now = time.monotonic() if self._resting else 0.0
        alone = self._last is None or not any(self._last in lane.held for lane in self._apart.values())
        for name, task in self._tasks.items():
            if self._resting and self._resting.get(name, _RESTED)[0] > now:
                continue
            lane, apart = self._lanes.get(name), self._apart.get(name)
            count = 1 if lane is None else lane.want()
            if count > 0:
                wants.append(Want(name, count, task.store_rules))
            count = self._places_apart[name] if apart is None else apart.want()
            if alone and count > 0:
                wants.append(Want(name, count, task.store_rules, alone=True))
        return wants

    def offer(self, name: str, jobs: list[Claimed]) -> None:
        """Run these jobs of a task."""
        suspects = self._admitted([job for job in jobs if job.crashes])
        if suspects:
            self._put(self._apart, name, suspects)
            jobs = [job for job in jobs if not job.crashes]
        if jobs:
            self._put(self._lanes, name, jobs)

    def _admitted(self, suspects: list[Claimed]) -> list[Claimed]:
        """Those that may run now; others are put off.

        What a suspect kills may be the worker itself, and every other one that has begun there with it. So one that the
        next death would end runs when no other suspect does: it is not given up for what another has done.
        """
        in_hand = {job for lane in self._apart.values() for job in list(lane.held)}
        admitted: list[Claimed] = []
        for job in suspects:
            last = job.crashes >= CRASHES - 1
            if self._last not in in_hand and not (last and in_hand):
                admitted.append(job)
                in_hand.add(job.id)
                self._last = job.id if last else None
        if len(admitted) < len(suspects):
            self.put_off([job for job in suspects if job not in admitted])
        return admitted

    def _put(self, lanes: dict[str, JobLane], name: str, jobs: list[Claimed]) -> None:
        lane = self._open(lanes, name, len(jobs) if lanes is self._apart else 0)
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
        """End a job that nobody wants, if it is begun."""
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
