"""For tests: a clock that only moves when it is told to, and jobs that run at once, in this thread.

clock = VirtualClock()
jobs = plait.Jobs("memory://", store=MemoryStore(clock))


@jobs.task
def remind(name: str) -> None: ...


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
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from plait.failure import Failure
from plait.jobs.memory.store import MemoryStore
from plait.jobs.open import sharing
from plait.jobs.protocol import LEASE, Event
from plait.jobs.records import Claimed, Outcome, Want, WorkerInfo
from plait.jobs.schedules import Schedule, Schedules
from plait.jobs.spec import TaskSpec
from plait.jobs.store import Store
from plait.jobs.worker.perform import SETTLED, Order, performer
from plait.jobs.worker.verdict import verdict
from plait.styles.resources import open_async, open_sync

__all__ = ["MemoryStore", "VirtualClock", "run_pending"]

T = TypeVar("T")
#: How often a thousand times that were missed (`missed="all"`) are made up for in one go, at most.
MISSES = 100


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
    """Run what is due, and what follows from it, until nothing is left; how many jobs that were.

    Resources are made when a task's first job comes, and closed at the end. Async tasks run on a loop of their own, in
    a thread where the caller's has one already. Attempts have no `timeout=` here: in the caller's thread nothing can
    end them.
    """
    with sharing({spec.url for spec in specs.values()}, store), _Runner() as loop:
        bench = _Bench(specs, loop)
        place = _Place(store, tuple(specs))
        try:
            _fire(Schedules(schedules, store), store.now())
            store.upkeep()
            return _run_all(place, specs, bench, most, draw)
        finally:
            store.leave(place.worker())
            bench.close()


def _fire(firing: Schedules, now: float) -> None:
    firing.fire()
    for _ in range(MISSES):
        if not firing.behind(now):
            break
        firing.fire()


def _run_all(place: _Place, specs: Mapping[str, TaskSpec], bench: _Bench, most: int, draw: Callable[[], float]) -> int:
    count, store = 0, place.store
    outcomes: list[Outcome] = []
    while True:
        wants = _wants(specs) if count < most else []
        turn = store.turn(place.worker(), outcomes, wants, most=1)
        if not turn.claimed:
            return count
        outcomes = []
        for job in turn.claimed:
            outcome = bench.run(job, store.now(), draw)
            outcomes += [outcome] if outcome is not None else []
        count += len(turn.claimed)


def _wants(specs: Mapping[str, TaskSpec]) -> list[Want]:
    return [Want(name, 1, spec.store_rules, alone) for name, spec in specs.items() for alone in (False, True)]


class _Place:
    """A worker as the store knows it; its lease is renewed, since jobs may take long, or move the clock."""

    def __init__(self, store: Store, tasks: tuple[str, ...]) -> None:
        self.store = store
        self._info = WorkerInfo(host=socket.gethostname(), pid=os.getpid(), tasks=tasks, slots=1)
        self._id, self._beaten = store.register(self._info), store.now()

    def worker(self) -> int:
        """Its number."""
        if self.store.now() - self._beaten > LEASE / 5:
            if not self.store.beat(self._id):
                self._id = self.store.register(self._info)
            self._beaten = self.store.now()
        return self._id


class _Runner:
    """An event loop: in this thread, or in another where this one's runs already."""

    def __enter__(self) -> _Runner:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._thread: ThreadPoolExecutor | None = None
        else:
            self._thread = ThreadPoolExecutor(1, "plait-run-pending")
        self._runner = asyncio.Runner()
        return self

    def run(self, made: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns."""
        if self._thread is None:
            return self._runner.run(made)
        return self._thread.submit(self._runner.run, made).result()

    def __exit__(self, *_: object) -> None:
        if self._thread is None:
            self._runner.close()
        else:
            self._thread.submit(self._runner.close).result()
            self._thread.shutdown()


class _Bench:
    """Runs jobs one by one, as the seats of a worker would."""

    def __init__(self, specs: Mapping[str, TaskSpec], loop: _Runner) -> None:
        self._specs, self._loop = specs, loop
        self._ready: dict[str, Callable[[Order], Any]] = {}
        self._closing: list[Callable[[], object]] = []

    def run(self, job: Claimed, now: float, draw: Callable[[], float]) -> Outcome | None:
        """What became of a job; `None`: it is settled already."""
        spec, order = self._specs[job.task], Order.of(job)
        try:
            perform = self._ready.get(job.task) or self._prepared(spec)
            _, result = self._loop.run(perform(order)) if spec.is_async else perform(order)
        except Exception as error:
            failure = Failure(order, 0, spec.name, 1, error, traceback.format_exc())
            return verdict(failure, spec.retry, spec.keep_failed, now, draw)
        if result == SETTLED:
            return None
        return Outcome(id=job.id, token=job.token, event=Event.SUCCEED, result=result, keep=spec.keep)

    def _prepared(self, spec: TaskSpec) -> Callable[[Order], Any]:
        perform: Callable[[Order], Any] = performer(spec, "")
        if spec.is_async:
            perform, stack = self._loop.run(open_async(perform, spec.rules.resources))
            self._closing.append(lambda: self._loop.run(stack.aclose()))
        else:
            perform, close = open_sync(perform, spec.rules.resources)
            self._closing.append(close)
        self._ready[spec.name] = perform
        return perform

    def close(self) -> None:
        """Close the resources."""
        while self._closing:
            self._closing.pop()()
