"""For tests: a clock that only moves when it is told to, and jobs that run at once, in this thread.

clock = VirtualClock()
jobs = plait.Jobs("memory://", store=MemoryStore(clock))
remind.with_(delay=3600).enqueue("ada")
assert jobs.run_pending() == 0
clock.advance(3600)
assert jobs.run_pending() == 1
"""

from __future__ import annotations

import asyncio
import os
import socket
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from plait.failure import Failure
from plait.jobs.memory.store import MemoryStore
from plait.jobs.protocol import Event
from plait.jobs.records import Claimed, Outcome, Want, WorkerInfo
from plait.jobs.schedules import Schedule, Schedules
from plait.jobs.spec import TaskSpec
from plait.jobs.store import Store
from plait.jobs.worker.perform import SETTLED, Order, performer
from plait.jobs.worker.verdict import verdict

__all__ = ["MemoryStore", "VirtualClock", "run_pending"]


class VirtualClock:
    """Tells seconds since the epoch, and stands still in between.

    Parameters:
        now: what it begins with.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def run_pending(
    store: Store,
    specs: Mapping[str, TaskSpec],
    schedules: list[Schedule],
    most: int = 100_000,
    draw: Callable[[], float] = lambda: 0.0,
) -> int:
    """Run what is due, and what follows from it, until nothing is left; how many jobs that were."""
    worker = store.register(WorkerInfo(host=socket.gethostname(), pid=os.getpid(), tasks=tuple(specs), slots=1))
    performs = {name: performer(spec, "") for name, spec in specs.items()}
    count = 0
    try:
        Schedules(schedules, store).fire()
        store.upkeep()
        outcomes: list[Outcome] = []
        while True:
            wants = _wants(specs) if count < most else []
            turn = store.turn(worker, outcomes, wants, most=1)
            if not turn.claimed:
                return count
            outcomes = [
                outcome
                for job in turn.claimed
                if (outcome := _run(specs[job.task], performs[job.task], job, store.now(), draw))
            ]
            count += len(turn.claimed)
    finally:
        store.leave(worker)


def _wants(specs: Mapping[str, TaskSpec]) -> list[Want]:
    return [Want(name, 1, spec.store_rules, alone) for name, spec in specs.items() for alone in (False, True)]


def _run(
    spec: TaskSpec, perform: Callable[..., Any], job: Claimed, now: float, draw: Callable[[], float]
) -> Outcome | None:
    order = Order.of(job)
    try:
        made = perform(order)
        _, result = asyncio.run(made) if spec.is_async else made
    except Exception as error:
        failure = Failure(order, 0, spec.name, 1, error, traceback.format_exc())
        return verdict(failure, spec.retry, spec.keep_failed, now, draw)
    if result == SETTLED:
        return None
    return Outcome(id=job.id, token=job.token, event=Event.SUCCEED, result=result, keep=spec.keep)
