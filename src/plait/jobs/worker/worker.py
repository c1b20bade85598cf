"""`Worker`: one process that runs jobs of every kind, from its registration to the handing back of what it has left."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plait.errors import OptionError, PlaitError
from plait.events import Hub
from plait.jobs.events import LeaseLost
from plait.jobs.importing import check_not_imported
from plait.jobs.presence import boot, space
from plait.jobs.protocol import LEASE
from plait.jobs.records import Outcome, WorkerInfo
from plait.jobs.spec import TaskSpec
from plait.jobs.store import Store
from plait.jobs.worker.keeper import Keeper
from plait.jobs.worker.lanes import Lanes
from plait.jobs.worker.notes import Postbox
from plait.jobs.worker.pulse import Pulse
from plait.jobs.worker.steward import Steward
from plait.places.processes.pool import default_pool
from plait.surface.report import Report

__all__ = ["GRACE", "MOST", "Worker"]

log = logging.getLogger("plait")

#: Seconds that running jobs have to end when the worker is asked to.
GRACE = 25.0
#: Seconds between two renewals of the lease that the worker does itself, its pulse notwithstanding.
OWN = LEASE * 0.4
#: Seconds until a pulse that has died is started again.
AGAIN = 1.0
#: What tasks' processes import in any case: once, where they are forked.
SEAT = ("plait.jobs.jobs", "plait.jobs.worker.perform")
#: Jobs that a worker has at once, if nobody says otherwise.
MOST = 10_000


class Worker:
    """Runs the jobs of `tasks` that are in `store`.

    Parameters:
        queues: those that it serves; empty: all.
        concurrency: jobs that it has at once, all tasks together, those that wait for a free place included.
        fire: fires schedules that are due; seconds until the next is.
        pulse: whether a process of its own renews the lease (else the steward does, which suits short-lived workers).

    Raises:
        OptionError: what cannot be.
    """

    def __init__(
        self,
        store: Store,
        tasks: Mapping[str, TaskSpec],
        *,
        queues: Sequence[str] = (),
        concurrency: int = MOST,
        hub: Hub | None = None,
        fire: Callable[[], float | None] = lambda: None,
        ended: Callable[[Outcome], None] = lambda outcome: None,
        pulse: bool = True,
    ) -> None:
        if isinstance(queues, str) or not all(isinstance(queue, str) for queue in queues):
            raise OptionError("queues", queues, 'it takes names, like ("media", "default")')
        if not isinstance(concurrency, int) or concurrency < 1:
            raise OptionError("concurrency", concurrency, "it takes a whole number from 1")
        self.store, self.tasks, self.queues, self.concurrency = store, tasks, tuple(queues), concurrency
        self.hub = hub or Hub()
        self._ended = ended
        self._pulses = pulse
        self.id = 0
        self._steward = Steward(
            store,
            lambda: self.id,
            stop_job=self._stop_job,
            tick=self._tick,
            renew=self._renew,
            fire=fire,
        )
        self._post: Postbox
        self._pulse: Pulse | None = None
        self.lanes: Lanes
        self.keeper: Keeper
        self._beaten = self._pulsed = 0.0
        self._draining = self._ending = False

    # --- beginning --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Register, and begin to claim. Once: a worker that has begun, or ended, does not begin again.

        Raises:
            StoreError: the store cannot be used; nothing was begun. RuntimeError: it has begun already, or is about to
                in a module that `plait work` imports.
        """
        check_not_imported()
        if self.id or self._ending:
            was = "has ended" if self._ending else "has begun already"
            raise RuntimeError(f"This worker {was}; make another one: jobs.worker().")
        if any(task.may_travel for task in self.tasks.values()):
            default_pool().prepare(SEAT)
        self._post = Postbox(self._steward.take)
        try:
            self._enlist()
        except BaseException:
            self._post.close()
            self.id = 0
            raise
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
        try:
            self.keeper = Keeper(self.store, self.id, self.lanes, self.queues, self.concurrency, self.hub, self._ended)
        except BaseException:
            with contextlib.suppress(PlaitError, OSError):
                self.store.leave(self.id)
            raise
        self.keeper.accepting = not self._draining
        self.lanes.deliver = self.keeper.deliver
        self.lanes.hand_back, self.lanes.settle = self.keeper.hand_back, self.keeper.settle
        self.keeper.start()
        if self._pulses:
            self._begin_pulse()

    def _begin_pulse(self) -> None:
        """Start the pulse. Where no process can be had for it, the worker renews its lease itself meanwhile."""
        self._pulsed = time.monotonic()
        try:
            self._pulse = Pulse(self.store.url, self.id)
        except OSError as error:
            log.warning("No process can be started that renews this worker's lease; it does so itself: %s", error)

    # --- while it runs ----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Show that the worker makes progress; now and then, renew the lease without help: the pulse may be gone."""
        pulse, now = self._pulse, time.monotonic()
        if self._ending:
            return
        if pulse is not None:
            pulse.tick()
        alive = pulse is not None and pulse.alive
        if now - self._beaten > (OWN if alive else 1.0):
            self._beaten = now
            if not self.store.beat(self.id):
                self._lost()
                return
        if pulse is not None and pulse.lost.is_set():
            self._lost()
        elif self._pulses and not alive and now - self._pulsed > AGAIN:
            if pulse is not None:
                pulse.close()
                self._pulse = None
            self._begin_pulse()

    def _renew(self) -> None:
        self._beaten = float("-inf")

    def _lost(self) -> None:
        """Others have this worker's jobs: what runs here is ended, and the worker begins anew."""
        if self.hub.wanted:
            self.hub.emit(LeaseLost(worker=self.id))
        log.warning("This worker was away for longer than its lease, and others have its jobs. It begins anew.")
        self.keeper.lost.set()
        self._end_lanes()
        self.store.leave(self.id)  # lets go of its lock; of its jobs there are none
        self._enlist()

    def _end_lanes(self) -> None:
        pulse, self._pulse = self._pulse, None
        if pulse is not None:
            pulse.close()
        self.keeper.stop()
        self.lanes.close()

    def _stop_job(self, job: int) -> None:
        self.lanes.stop(job)

    @property
    def report(self) -> dict[str, Report]:
        """What each task that had jobs here runs under and why, and how it goes, live: by the tasks' names.

        A lane that had nothing to do for a while has given its processes back; what it did stays until the next opens.
        """
        return {name: Report(figures) for name, figures in list(self.lanes.figures.items())}

    @property
    def idle(self) -> bool:
        """Whether it has no job in hand, and everything is settled."""
        lanes = self.lanes  # asked twice: what was claimed meanwhile is in them before the keeper says that it is done
        return lanes.held == 0 and self.keeper.flushed() and lanes.held == 0

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
        if not self.id:
            return 0
        self._draining = True  # should its lease be lost meanwhile, it begins anew without claiming
        self.keeper.accepting = False
        until = time.monotonic() + grace
        while not self.idle and time.monotonic() < until and not hurry():
            time.sleep(0.02)
        self._ending = True
        left = self.lanes.held
        try:
            self._steward.stop()  # first: it is the one that begins anew
            self.keeper.stop()
            self.lanes.close()
            self.keeper.finish()
            left = self.store.leave(self.id)
        except (PlaitError, OSError) as error:
            log.warning("The store cannot be used; what this worker leaves, others take over. %s", error)
        finally:
            self.lanes.close()
            if self._pulse is not None:
                self._pulse.close()
            self._post.close()
        return left

    def __enter__(self) -> Worker:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.drain()
