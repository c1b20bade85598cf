"""`Worker`: one process that runs jobs of every kind, from its registration to the handing back of what it has left."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from plait.events import Hub
from plait.jobs.presence import boot, space
from plait.jobs.records import Outcome, WorkerInfo
from plait.jobs.spec import TaskSpec
from plait.jobs.store import Store
from plait.jobs.worker.keeper import Keeper
from plait.jobs.worker.lanes import Lanes
from plait.jobs.worker.notes import Postbox
from plait.jobs.worker.pulse import Pulse
from plait.jobs.worker.steward import Steward

__all__ = ["GRACE", "MOST", "Worker"]

log = logging.getLogger("plait")

#: Seconds that running jobs have to end when the worker is asked to.
GRACE = 25.0
#: Jobs that a worker has at once, if nobody says otherwise.
MOST = 10_000


class Worker:
    """Runs the jobs of `tasks` that are in `store`.

    Parameters:
        queues: those that it serves; empty: all.
        concurrency: jobs that it has at once, all tasks together, those that wait for a free place included.
        fire: fires schedules that are due; seconds until the next is.
        pulse: whether a process of its own renews the lease (else the steward does, which suits short-lived workers).
    """

    def __init__(
        self,
        store: Store,
        tasks: Mapping[str, TaskSpec],
        *,
        queues: tuple[str, ...] = (),
        concurrency: int = MOST,
        hub: Hub | None = None,
        fire: Callable[[], float | None] = lambda: None,
        ended: Callable[[Outcome], None] = lambda outcome: None,
        pulse: bool = True,
    ) -> None:
        self.store, self.tasks, self.queues, self.concurrency = store, tasks, queues, concurrency
        self.hub = hub or Hub()
        self._ended = ended
        self._pulses = pulse
        self.id = 0
        self._steward = Steward(
            store, lambda: self.id, stop_job=self._stop_job, tick=self._tick, tidy=lambda: None, fire=fire
        )
        self._post = Postbox(self._steward.take)
        self._pulse: Pulse | None = None
        self.lanes: Lanes
        self.keeper: Keeper
        self._beaten = 0.0
        self._lock = threading.Lock()

    # --- beginning --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Register, and begin to claim."""
        self._enlist()
        self._steward.start()

    def _enlist(self) -> None:
        info = WorkerInfo(
            host=socket.gethostname(),
            pid=os.getpid(),
            boot=boot(),
            space=space(),
            queues=self.queues,
            tasks=tuple(self.tasks),
            slots=self.concurrency,
        )
        self.id = self.store.register(info)
        self._beaten = time.monotonic()
        self.lanes = Lanes(self.tasks, self.hub, self._post.path)
        self.keeper = Keeper(self.store, self.id, self.lanes, self.queues, self.concurrency, self._ended)
        self.lanes.deliver = self.keeper.deliver
        self.lanes.hand_back = self.keeper.hand_back
        self.keeper.start()
        if self._pulses:
            self._pulse = Pulse(self.store.url, self.id)

    # --- while it runs ----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        pulse = self._pulse
        if pulse is None or not pulse.alive:
            if time.monotonic() - self._beaten > 1.0:
                self._beaten = time.monotonic()
                if not self.store.beat(self.id):
                    self._lost()
            return
        pulse.tick()
        if pulse.lost.is_set():
            self._lost()

    def _lost(self) -> None:
        """Others have this worker's jobs: what runs here is ended, and the worker begins anew."""
        log.warning("This worker was away for longer than its lease, and others have its jobs. It begins anew.")
        self.keeper.lost.set()
        self._end_lanes()
        self._enlist()

    def _end_lanes(self) -> None:
        self.keeper.stop()
        self.lanes.close()
        if self._pulse is not None:
            self._pulse.close()
            self._pulse = None

    def _stop_job(self, job: int) -> None:
        self.lanes.stop(job)

    @property
    def idle(self) -> bool:
        """Whether it has no job in hand, and everything is settled."""
        return self.lanes.held == 0 and self.keeper.flushed()

    @property
    def finished(self) -> bool:
        """Whether it is idle, and a look at the store found nothing for it, now or soon."""
        return self.idle and self.keeper.fruitless

    # --- ending -----------------------------------------------------------------------------------------------------

    def drain(self, grace: float = GRACE, hurry: Callable[[], bool] = lambda: False) -> int:
        """Claim nothing more, let what runs end, hand back what has not within `grace` seconds; how many that were.

        Parameters:
            hurry: asked now and then whether to wait no longer.
        """
        self.keeper.accepting = False
        until = time.monotonic() + grace
        while not self.idle and time.monotonic() < until and not hurry():
            time.sleep(0.02)
        self.keeper.stop()
        self.lanes.close()
        self._steward.stop()
        self.keeper.finish()
        left = self.store.leave(self.id)
        if self._pulse is not None:
            self._pulse.close()
        self._post.close()
        return left

    def __enter__(self) -> Worker:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.drain()
