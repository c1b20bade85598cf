"""Closing a run and its pool, warm: from the call until it returns, two workers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psutil

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import noop, warmed

CLOSE = Figure("wall", "ms", 1e3)
ROW = Row(
    name="closing",
    work="closing a run and its pool, warm",
    target="under 50 ms warm",
    figures=(CLOSE, Figure("left", "child processes left", compared=False)),
    size=1000,
    quick=1000,
    least_runs=9,
    interval=0.5,
)


def count_left(meter: Meter) -> None:
    """A close that returns while its workers still run would be quick for nothing."""
    alive = [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    meter.record(left=len(alive))


@ROW.cell("plait, run midway", "an endless run is cancelled, then its Pool(workers=2) closed")
def plait_midway(meter: Meter) -> None:
    import plait

    with plait.Pool(workers=2) as pool:
        warmed(lambda source: plait.map(noop, source, model="processes", workers=2))
        run = plait.map(noop, itertools.count(), model="processes", workers=2)
        for _ in itertools.islice(run, meter.size):
            pass
        with meter.timed():
            run.cancel()
            pool.close()
        count_left(meter)


@ROW.cell("plait, run finished", "Pool(workers=2).close() after a finished run")
def plait_finished(meter: Meter) -> None:
    import plait

    with plait.Pool(workers=2) as pool:
        warmed(lambda source: plait.map(noop, source, model="processes", workers=2))
        with meter.timed():
            pool.close()
        count_left(meter)


@ROW.cell("ProcessPoolExecutor", "fork, shutdown() after a finished map", against="plait, run finished")
def executor(meter: Meter) -> None:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    workers = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))
    warmed(lambda source: workers.map(noop, source, chunksize=64))
    with meter.timed():
        workers.shutdown()
    count_left(meter)


@ROW.cell("multiprocessing.Pool", "fork, close() and join() after a finished map", against="plait, run finished")
def pool(meter: Meter) -> None:
    import multiprocessing

    workers = multiprocessing.get_context("fork").Pool(2)
    warmed(lambda source: workers.imap_unordered(noop, source, chunksize=64))
    with meter.timed():
        workers.close()
        workers.join()
    count_left(meter)


@ROW.cell("loky", "executor.shutdown() after a finished map", against="plait, run finished")
def loky(meter: Meter) -> None:
    from loky import get_reusable_executor

    workers = get_reusable_executor(max_workers=2, timeout=None)
    warmed(lambda source: workers.map(noop, source, chunksize=64))
    with meter.timed():
        workers.shutdown()
    count_left(meter)


@ROW.cell("mpire", "fork, stop_and_join() after a finished map", against="plait, run finished")
def mpire(meter: Meter) -> None:
    from mpire import WorkerPool

    workers = WorkerPool(2, start_method="fork", keep_alive=True)
    warmed(lambda source: workers.imap_unordered(noop, source, chunk_size=64))
    with meter.timed():
        workers.stop_and_join()
    count_left(meter)


@ROW.cell("pebble", "fork, close() and join() after a finished map", against="plait, run finished")
def pebble(meter: Meter) -> None:
    import multiprocessing

    from pebble import ProcessPool

    workers = ProcessPool(2, context=multiprocessing.get_context("fork"))
    warmed(lambda source: workers.map(noop, source, chunksize=64).result())
    with meter.timed():
        workers.close()
        workers.join()
    count_left(meter)


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    for cell in ("plait, run midway", "plait, run finished"):
        milliseconds = medians.shown(cell, CLOSE)
        yield Check(f"{cell.removeprefix('plait, ')}: {milliseconds:.1f} ms", milliseconds < 50)
