"""One item at a time through a warm worker: the next is made only when the previous result has been consumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import noop, warmed

WALL = Figure("wall", "us/trip", 1e6, per_item=True)
ROW = Row(
    name="roundtrip",
    work="one-at-a-time round trip through a worker",
    target="faster than `ProcessPoolExecutor`, mpire and loky",
    figures=(WALL, Figure("cpu", "us CPU/trip", 1e6, per_item=True)),
    size=5_000,
    quick=300,
)
TO_BEAT = ("ProcessPoolExecutor", "mpire", "loky")


def trips(meter: Meter, call: Callable[[int], Any]) -> None:
    warmed(lambda source: [call(x) for x in source], 100)
    with meter.timed():
        for x in range(meter.size):
            call(x)


def lockstep(run: Callable[[Iterable[int]], Iterable[int]], count: int) -> None:
    """One run over a source that holds each item back until the result before it has been consumed."""
    consumed: SimpleQueue[None] = SimpleQueue()

    def source() -> Iterator[int]:
        for x in range(count):
            yield x
            consumed.get(timeout=10)  # Empty is raised, and the cell fails, if the engine waits for more items first

    for _ in run(source()):
        consumed.put(None)


@ROW.cell("plait, one run", "model='processes', workers=2; one run over a lock-step source")
def plait_lockstep(meter: Meter) -> None:
    import plait

    def run(source: Iterable[int]) -> Iterable[int]:
        return plait.map(noop, source, model="processes", workers=2)

    warmed(run)
    lockstep(run, 100)
    with meter.timed():
        lockstep(run, meter.size)


@ROW.cell("plait, a run an item", "next(iter(plait.map(noop, [x], model='processes', workers=2))) on the warm pool")
def plait_single(meter: Meter) -> None:
    import plait

    trips(meter, lambda x: next(iter(plait.map(noop, [x], model="processes", workers=2))))


@ROW.cell("ProcessPoolExecutor", "2 workers, fork, submit().result()")
def executor(meter: Meter) -> None:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as workers:
        trips(meter, lambda x: workers.submit(noop, x).result())


@ROW.cell("mpire", "WorkerPool(2, keep_alive), fork, apply()")
def mpire(meter: Meter) -> None:
    from mpire import WorkerPool

    with WorkerPool(2, start_method="fork", keep_alive=True) as workers:
        trips(meter, lambda x: workers.apply(noop, (x,)))


@ROW.cell("loky", "get_reusable_executor(2), submit().result()")
def loky(meter: Meter) -> None:
    from loky import get_reusable_executor

    workers = get_reusable_executor(max_workers=2, timeout=None)
    trips(meter, lambda x: workers.submit(noop, x).result())
    workers.shutdown()


@ROW.cell("pebble", "ProcessPool(2), fork, schedule().result()")
def pebble(meter: Meter) -> None:
    import multiprocessing

    from pebble import ProcessPool

    with ProcessPool(2, context=multiprocessing.get_context("fork")) as workers:
        trips(meter, lambda x: workers.schedule(noop, args=(x,)).result())


@ROW.cell("multiprocessing.Pool", "Pool(2), fork, apply(); not in the target, but quick")
def pool(meter: Meter) -> None:
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as workers:
        trips(meter, lambda x: workers.apply(noop, (x,)))


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    best = min(TO_BEAT, key=lambda peer: medians.of(peer, "wall"))
    for cell in ("plait, one run", "plait, a run an item"):
        times = medians.of(best, "wall") / medians.of(cell, "wall")
        yield Check(f"{cell.removeprefix('plait, ')}: the fastest of the three ({best}) takes {times:.2f}x", times > 1)
