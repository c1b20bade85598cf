"""No-op items through two worker processes, from a generator of unknown length: CPU per item, all together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import drain, noop, numbers, warmed

CPU = Figure("cpu", "us CPU/item", 1e6, per_item=True)
ROW = Row(
    name="processes",
    work="no-op items through `processes`, no chunk size given, from a generator of unknown length",
    target="CPU per item at most that of `Pool.imap_unordered(chunksize=64)`, and 3x less than joblib's auto-batching",
    figures=(CPU, Figure("wall", "us/item", 1e6, per_item=True)),
    size=500_000,
    quick=20_000,
)
POOL, JOBLIB = "multiprocessing.Pool", "joblib (loky)"


def with_plait(meter: Meter, ordered: bool) -> None:
    import plait

    def run(source: Iterable[int]) -> Iterable[int]:
        return plait.map(noop, source, model="processes", workers=2, ordered=ordered)

    warmed(run)
    with meter.timed():
        drain(run(numbers(meter.size)))


@ROW.cell("plait", "model='processes', workers=2, ordered, no chunk size")
def plait_ordered(meter: Meter) -> None:
    with_plait(meter, ordered=True)


@ROW.cell(POOL, "Pool(2), fork, imap_unordered(chunksize=64)")
def pool(meter: Meter) -> None:
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as workers:
        warmed(lambda source: workers.imap_unordered(noop, source, chunksize=64))
        with meter.timed():
            drain(workers.imap_unordered(noop, numbers(meter.size), chunksize=64))


@ROW.cell(JOBLIB, "Parallel(n_jobs=2), loky, batch_size='auto', results as a list")
def joblib_loky(meter: Meter) -> None:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=2, backend="loky") as parallel:
        warmed(lambda source: parallel(delayed(noop)(x) for x in source))
        with meter.timed():
            drain(parallel(delayed(noop)(x) for x in numbers(meter.size)))


@ROW.cell("ProcessPoolExecutor", "2 workers, fork, map(chunksize=64)")
def executor(meter: Meter) -> None:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as workers:
        warmed(lambda source: workers.map(noop, source, chunksize=64))
        with meter.timed():
            drain(workers.map(noop, numbers(meter.size), chunksize=64))


@ROW.cell("mpire", "WorkerPool(2, keep_alive), fork, imap_unordered(chunk_size=64): it needs one, or the length")
def mpire(meter: Meter) -> None:
    from mpire import WorkerPool

    with WorkerPool(2, start_method="fork", keep_alive=True) as workers:
        warmed(lambda source: workers.imap_unordered(noop, source, chunk_size=64))
        with meter.timed():
            drain(workers.imap_unordered(noop, numbers(meter.size), chunk_size=64))


@ROW.cell("plait, unordered", "model='processes', workers=2, ordered=False, no chunk size")
def plait_unordered(meter: Meter) -> None:
    with_plait(meter, ordered=False)


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    pool_times = medians.ratio(POOL, CPU)
    yield Check(f"Pool needs {pool_times:.2f}x plait's CPU", pool_times >= 1)
    joblib_times = medians.ratio(JOBLIB, CPU)
    yield Check(f"joblib needs {joblib_times:.2f}x plait's CPU", joblib_times >= 3)
