"""`JobLane`: one task's jobs in a lane of the engine, from the first that comes until there are none for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, NamedTuple

from plait.engine.drive import Drive
from plait.engine.outlet import Outlet, Segment
from plait.errors import JobCancelled
from plait.events import Hub
from plait.jobs.records import Claimed
from plait.jobs.spec import TaskSpec
from plait.jobs.worker.appetite import appetite
from plait.jobs.worker.perform import Order, performer

__all__ = ["Held", "JobLane"]

#: Items that may lie in the lane: more than are ever claimed.
ROOM = 1 << 20
_END = object()


class Held(NamedTuple):
    """A job that the worker has: its token, its place in the lane, which attempt this is, and when it came."""

    token: int
    place: int
    attempt: int
    since: float


class _Tap(Outlet):
    """An outlet whose results are handed on as they come."""

    def __init__(self, results: Callable[[list[Any]], None], over: Callable[[BaseException | None], None]) -> None:
        super().__init__(False, ROOM)
        self._results, self._finished = results, over

    def put(self, segments: list[Segment]) -> None:
        """Results came."""
        came = [result for _, _, results in segments for result in results]
        with self._lock:
            self.taken += sum(count for _, count, _ in segments)
            self._freed()
        self._results(came)

    def finish(self, error: BaseException | None = None) -> None:
        """The lane is over."""
        first = not self.over
        super().finish(error)
        if first:
            self._finished(error)


class JobLane:
    """A lane for the jobs of one task.

    Parameters:
        task: the task. apart: so many of its jobs run at once, each alone in a process; 0: as the task is to run.
        post: where notes go. hub: told of what happens in the lane.
        deliver: called with results, from the engine's threads: (job id, result) or `Failure`.
        broken: called when the lane has ended by itself, with the error if there was one.
    """

    def __init__(
        self,
        task: TaskSpec,
        hub: Hub,
        post: str,
        *,
        apart: int,
        deliver: Callable[[JobLane, list[Any]], None],
        broken: Callable[[JobLane, BaseException | None], None],
    ) -> None:
        self.task, self.apart = task, apart
        self.held: dict[int, Held] = {}
        self.idle_since = time.monotonic()
        self._offered = 0
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._closing = False
        tap = _Tap(lambda results: deliver(self, results), lambda error: None if self._closing else broken(self, error))
        rules = task.rules_apart(apart) if apart else task.rules
        self.drive = Drive(
            performer(task, post), self._items(), rules, hub, is_async=task.is_async, alone=False, outlet=tap
        )
        if apart:
            self.drive.lane.line.single = (
                True  # none waits in a seat: perhaps for what the one that runs there waits for
            )
        self.drive.start()

    def _items(self) -> Iterator[Order]:
        while (order := self._inbox.get()) is not _END:
            yield order

    def offer(self, jobs: list[Claimed]) -> None:
        """Run these."""
        now = time.monotonic()
        for job in jobs:
            self.held[job.id] = Held(job.token, self._offered, job.attempt, now)
            self._offered += 1
            self._inbox.put(Order.of(job))

    def want(self) -> int:
        """How many more jobs it could do with."""
        if self.apart:
            return max(0, self.apart - len(self.held))
        lane = self.drive.lane
        with lane.lock:
            most = lane.line.limit or ROOM  # while the lane tries whether jobs wait or compute
            open_ = [post.seat.width for post in lane.posts.values() if not (post.condemned or post.spare)]
        slots = sum(min(width, most) for width in open_)
        return appetite(slots, lane.sizer.seconds_per_item, len(self.held))

    def stop(self, job: int) -> bool:
        """End a job that nobody wants; false: it is not begun (or has ended)."""
        held = self.held.get(job)
        return held is not None and self.drive.lane.give_up(held.place, JobCancelled(job))

    def begun(self, job: int) -> bool:
        """Whether a job runs by now."""
        held = self.held.get(job)
        return held is not None and self.drive.lane.begun(held.place)

    @property
    def over(self) -> bool:
        """Whether it has ended by itself, and runs nothing any more."""
        return self.drive.lane.over

    def settled(self, job: int) -> None:
        """The lane has done with a job."""
        self.held.pop(job, None)
        if not self.held:
            self.idle_since = time.monotonic()

    def close(self) -> None:
        """End it, whatever it has in hand."""
        self._closing = True
        self._inbox.put(_END)
        self.drive.close()
