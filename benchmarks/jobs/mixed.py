"""Jobs of every kind in one queue, one worker with no options: async and blocking waits, computing, no-ops."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

from benchmarks.flow.paired import ratio
from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.jobs.draining import drained
from benchmarks.jobs.stage import CORES, Stage
from benchmarks.jobs.work import Call
from benchmarks.meter import Meter

#: How many of each, of 71.
PARTS = {"noop": 50, "nap": 10, "block": 10, "crunch": 1}
WITHIN, TIMES = 1.3, 3
ROW = Row(
    name="jobs.mixed",
    work="10,000 no-ops, 2,000 async and 2,000 blocking waits of 10 ms, 200 jobs of 20 ms of pure Python, shuffled",
    target=f"within {WITHIN} of the physical bound; {TIMES} times Celery, Dramatiq, RQ; faster than PgQueuer, taskiq",
    figures=(
        Figure("took", "s from the first job's start"),
        Figure("whole", "s from the worker's launch"),
        Figure("share", "of the run's own bound", compared=False),
        Figure("bound", "s, the bound: computing by the cores", compared=False),
    ),
    size=200 * sum(PARTS.values()),
    quick=10 * sum(PARTS.values()),
    interval=0.5,
    limit=150.0,
)


def mixture(size: int, plain: bool = False) -> list[Call]:
    """The jobs, shuffled, the same way for everybody. plain: without async ones, which become blocking ones."""
    unit = size // sum(PARTS.values())
    kinds = [kind for kind, count in PARTS.items() for _ in range(count * unit)]
    random.Random(7).shuffle(kinds)
    return [("block" if plain and kind == "nap" else kind, number) for number, kind in enumerate(kinds)]


def bounded(meter: Meter, at: Stage) -> None:
    """The bound of this run: nothing but the CPU seconds that its computing jobs took, on all cores."""
    bound = sum(at.board.cost) / CORES
    if not bound:
        raise RuntimeError("no computing job has ended")
    meter.record(bound=bound, share=meter.figures["took"] / bound)


def worked_off(meter: Meter, app: str, store: str, plain: bool = False) -> None:
    drained(meter, app, store, mixture(meter.size, plain), "mixed", limit=90.0, after=bounded)


@ROW.cell("plait", "plait work, no options; tasks without options; SQLite")
def with_plait(meter: Meter) -> None:
    worked_off(meter, "with_plait", "sqlite")


@ROW.cell("plait, PostgreSQL", "the same on PostgreSQL")
def with_plait_postgres(meter: Meter) -> None:
    worked_off(meter, "with_plait", "postgres")


@ROW.cell("taskiq", "--workers 2, 100 at once, prefetch 100, 64 threads each for plain functions; Redis")
def with_taskiq(meter: Meter) -> None:
    worked_off(meter, "with_taskiq", "redis")


@ROW.cell("PgQueuer", "two processes, batch_size=100; plain functions by asyncio.to_thread, 64 threads each")
def with_pgqueuer(meter: Meter) -> None:
    worked_off(meter, "with_pgqueuer", "postgres")


@ROW.cell("Celery, prefork", "-P prefork -c 16; async waits as blocking ones; Redis")
def with_celery(meter: Meter) -> None:
    worked_off(meter, "with_celery", "redis", plain=True)


@ROW.cell("Celery, threads", "-P threads -c 64; the same")
def with_celery_threads(meter: Meter) -> None:
    os.environ["PLAIT_BENCH_POOL"] = "threads"
    worked_off(meter, "with_celery", "redis", plain=True)


@ROW.cell("Dramatiq", "-p 2 -t 32; async waits as blocking ones; Redis")
def with_dramatiq(meter: Meter) -> None:
    worked_off(meter, "with_dramatiq", "redis", plain=True)


@ROW.cell("RQ", "worker-pool -n 16, SimpleWorker; async waits as blocking ones; Redis")
def with_rq(meter: Meter) -> None:
    worked_off(meter, "with_rq", "redis", plain=True)


@ROW.verdict
def judge(medians: Medians) -> Iterator[Check]:
    share, bound = medians.of("plait", "share"), medians.of("plait", "bound")
    yield Check(f"{share:.2f} of the bound ({bound:.2f} s)", share <= WITHIN)
    names = ("Celery, prefork", "Celery, threads")
    celery = min(names, key=lambda cell: medians.of(cell, "took"))
    for cell, least in ((celery, TIMES), ("Dramatiq", TIMES), ("RQ", TIMES), ("taskiq", 1)):
        times = ratio(medians, cell, "plait", "took")
        yield Check(f"{cell} takes {times:.2f}x", times >= least)
    times = ratio(medians, "PgQueuer", "plait, PostgreSQL", "took")
    yield Check(f"PgQueuer takes {times:.2f}x of plait on PostgreSQL", times >= 1)
