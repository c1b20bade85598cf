"""Arrays of 8 MB to a worker and back: what large data costs on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import plus_one

WALL = Figure("wall", "ms/array", 1e3, per_item=True)
ROW = Row(
    name="arrays",
    work="100 NumPy arrays of 8 MB there and back (`x + 1`: a new array comes back)",
    target="at least 5x faster than `ProcessPoolExecutor`",
    figures=(WALL, Figure("cpu", "ms CPU/array", 1e3, per_item=True), Figure("peak", "MB peak RSS")),
    size=100,
    quick=8,
)
EXECUTOR = "ProcessPoolExecutor"


def there_and_back(meter: Meter, run: Callable[[list[Any]], Iterable[Any]]) -> None:
    """Distinct arrays, made beforehand (a peer that remembers an array must not profit); results dropped at once."""
    import numpy

    arrays = [numpy.full(1_000_000, float(i)) for i in range(meter.size)]
    for _ in run([numpy.zeros(1_000_000) for _ in range(4)]):
        pass  # warm
    with meter.timed():
        firsts = [float(result[-1]) for result in run(arrays)]
    if sorted(firsts) != [i + 1.0 for i in range(meter.size)]:
        raise RuntimeError("wrong arrays came back")


@ROW.cell("plait", "model='processes', workers=2, ordered")
def with_plait(meter: Meter) -> None:
    import plait

    there_and_back(meter, lambda arrays: plait.map(plus_one, arrays, model="processes", workers=2))


@ROW.cell(EXECUTOR, "2 workers, fork, map(chunksize=1): larger chunks are slower here")
def executor(meter: Meter) -> None:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as workers:
        there_and_back(meter, lambda arrays: workers.map(plus_one, arrays))


@ROW.cell("joblib (loky)", "Parallel(n_jobs=2, return_as='generator'): memory-maps its inputs over 1 MB")
def joblib_loky(meter: Meter) -> None:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=2, backend="loky", return_as="generator") as parallel:
        there_and_back(meter, lambda arrays: parallel(delayed(plus_one)(x) for x in arrays))


@ROW.cell("multiprocessing.Pool", "Pool(2), fork, imap_unordered(chunksize=1)")
def pool(meter: Meter) -> None:
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as workers:
        there_and_back(meter, lambda arrays: workers.imap_unordered(plus_one, arrays))


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    times = medians.ratio(EXECUTOR, WALL)
    yield Check(f"{EXECUTOR} takes {times:.1f}x", times >= 5)
