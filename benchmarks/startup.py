"""From nothing to results of two workers, in a fresh process; then once more. Imports are not timed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.meter import Meter
from benchmarks.work import pid_of

COLD, WARM = Figure("cold", "ms cold", 1e3), Figure("warm", "ms warm", 1e3)
ROW = Row(
    name="startup",
    work="start to first result from 2 workers, cold and warm (two items, both results in hand)",
    target="at least 2x faster than loky cold; under 5 ms warm",
    figures=(COLD, WARM),
    size=2,
    quick=2,
    least_runs=9,
    interval=0.5,
)


def cold_and_warm(meter: Meter, first: Callable[[], Iterable[int]], second: Callable[[], Iterable[int]]) -> None:
    with meter.timed():
        with meter.lap("cold"):
            pids = set(first())
        with meter.lap("warm"):
            set(second())
    # An engine may give both items to the worker that was up first: said, since that is quicker than waiting for two.
    meter.note(f"{len(pids)} of 2 workers had an item in the cold map")


@ROW.cell("plait", "plait.map(model='processes', workers=2) twice, default pool")
def with_plait(meter: Meter) -> None:
    import plait

    mapping = plait.map  # loads it now: imports are not timed, and `import plait` alone is lazy

    def run() -> Iterable[int]:
        return mapping(pid_of, range(2), model="processes", workers=2)

    cold_and_warm(meter, run, run)


@ROW.cell("loky", "get_reusable_executor(2).map")
def loky(meter: Meter) -> None:
    from loky import get_reusable_executor

    def run() -> Iterable[int]:
        return get_reusable_executor(max_workers=2, timeout=None).map(pid_of, range(2))

    cold_and_warm(meter, run, run)
    get_reusable_executor().shutdown()


def with_executor(meter: Meter, method: str) -> None:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context, executors = multiprocessing.get_context(method), []

    def first() -> Iterable[int]:
        executors.append(ProcessPoolExecutor(2, mp_context=context))
        return executors[0].map(pid_of, range(2))

    cold_and_warm(meter, first, lambda: executors[0].map(pid_of, range(2)))
    executors[0].shutdown()


@ROW.cell("ProcessPoolExecutor, fork", "2 workers, map; forks this process, threads and all")
def executor_fork(meter: Meter) -> None:
    with_executor(meter, "fork")


@ROW.cell("ProcessPoolExecutor, forkserver", "2 workers, map")
def executor_forkserver(meter: Meter) -> None:
    with_executor(meter, "forkserver")


@ROW.cell("ProcessPoolExecutor, spawn", "2 workers, map")
def executor_spawn(meter: Meter) -> None:
    with_executor(meter, "spawn")


@ROW.cell("mpire", "WorkerPool(2, keep_alive), fork, map")
def mpire(meter: Meter) -> None:
    from mpire import WorkerPool

    pools: list[WorkerPool] = []

    def first() -> Iterable[int]:
        pools.append(WorkerPool(2, start_method="fork", keep_alive=True))
        return pools[0].map(pid_of, range(2), chunk_size=1)

    cold_and_warm(meter, first, lambda: pools[0].map(pid_of, range(2), chunk_size=1))
    pools[0].stop_and_join()


@ROW.verdict
def checks(medians: Medians) -> Iterator[Check]:
    times = medians.ratio("loky", COLD)
    yield Check(f"cold: loky takes {times:.1f}x", times >= 2)
    warm = medians.shown("plait", WARM)
    yield Check(f"warm: {warm:.2f} ms", warm < 5)
