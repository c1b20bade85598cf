"""No-op items through eight threads: what handing an item to a thread and back costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import drain, noop, numbers, warmed

WALL = Figure("wall", "us/item", 1e6, per_item=True)
ROW = Row(
    name="threads",
    work="no-op items through `threads`",
    target="at most 5 us an item; `ThreadPoolExecutor.map` takes about 20",
    figures=(WALL, Figure("cpu", "us CPU/item", 1e6, per_item=True)),
    size=100_000,
    quick=5_000,
)


@ROW.cell("plait", "model='threads', width=8; source: a generator")
def with_plait(meter: Meter) -> None:
    import plait

    def run(source: Iterable[int]) -> Iterable[int]:
        return plait.map(noop, source, model="threads", width=8)

    warmed(run)
    with meter.timed():
        drain(run(numbers(meter.size)))


@ROW.cell("ThreadPoolExecutor", "8 threads, map (it has no batches for threads)")
def executor(meter: Meter) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as threads:
        warmed(lambda source: threads.map(noop, source))
        with meter.timed():
            drain(threads.map(noop, numbers(meter.size)))


@ROW.cell("joblib (threading)", "Parallel(n_jobs=8), threading, results as a list")
def joblib_threading(meter: Meter) -> None:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=8, backend="threading") as parallel:
        warmed(lambda source: parallel(delayed(noop)(x) for x in source))
        with meter.timed():
            drain(parallel(delayed(noop)(x) for x in numbers(meter.size)))


@ROW.cell("multiprocessing ThreadPool", "ThreadPool(8), imap_unordered(chunksize=64), chosen by hand")
def thread_pool(meter: Meter) -> None:
    from multiprocessing.pool import ThreadPool

    with ThreadPool(8) as threads:
        warmed(lambda source: threads.imap_unordered(noop, source, chunksize=64))
        with meter.timed():
            drain(threads.imap_unordered(noop, numbers(meter.size), chunksize=64))


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    each = medians.shown("plait", WALL)
    yield Check(f"{each:.2f} us an item", each <= 5)
