"""How soon an idle worker begins with a job: from before enqueueing it to the first line of its task."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.jobs.stage import stage
from benchmarks.meter import Meter

WARM, IDLE, PATIENCE = 20, 0.015, 30.0
#: p50 and p99 in ms.
TARGETS = {"plait": (1.2, 4.0), "plait, PostgreSQL": (2.2, 5.0)}
ROW = Row(
    name="jobs.latency",
    work="a no-op job for an idle worker, again and again: from before it is enqueued to the first line of its task",
    target="p50 and p99: SQLite 1.2 and 4 ms, PostgreSQL 2.2 and 5 ms",
    figures=(
        Figure("p50", "ms p50", scale=1e3),
        Figure("p99", "ms p99", scale=1e3),
        Figure("most", "ms at most", scale=1e3, compared=False),
    ),
    size=300,
    quick=30,
    interval=1.0,
    limit=120.0,
)


def picked_up(meter: Meter, app: str, store: str) -> None:
    """Enqueue a job, wait until it has ended and a little longer, and so on."""
    with stage(app, store, WARM + meter.size) as at:
        at.launch("latency")
        at.app.one_by_one([("noop", number) for number in range(WARM)])
        if not at.until_over(PATIENCE, WARM):
            raise RuntimeError(f"the worker does not work: {at.crew.said()}")
        time.sleep(1.0)  # nothing is left of the beginning
        with meter.timed():
            for number in range(WARM, WARM + meter.size):
                at.app.one_by_one([("noop", number)])
                if not at.board.wait(PATIENCE, number + 1, pause=0.0005):
                    raise RuntimeError(f"job {number} was not picked up in {PATIENCE:.0f} s")
                time.sleep(IDLE)
        marks = at.board
        times = [marks.began[number] - marks.asked[number] for number in range(WARM, WARM + meter.size)]
        hundredths = statistics.quantiles(times, n=100, method="inclusive")
        meter.record(p50=hundredths[49], p99=hundredths[98], most=max(times))


@ROW.cell("plait", "plait work, no options, SQLite")
def with_plait(meter: Meter) -> None:
    picked_up(meter, "with_plait", "sqlite")


@ROW.cell("plait, PostgreSQL", "the same on PostgreSQL")
def with_plait_postgres(meter: Meter) -> None:
    picked_up(meter, "with_plait", "postgres")


@ROW.cell("Huey, Redis", "-k process -w 2, blocking reads")
def with_huey(meter: Meter) -> None:
    picked_up(meter, "with_huey", "redis")


@ROW.cell("taskiq", "RedisStreamBroker, --workers 2")
def with_taskiq(meter: Meter) -> None:
    picked_up(meter, "with_taskiq", "redis")


@ROW.cell("PgQueuer", "two processes, batch_size=100", against="plait, PostgreSQL")
def with_pgqueuer(meter: Meter) -> None:
    picked_up(meter, "with_pgqueuer", "postgres")


@ROW.verdict
def judge(medians: Medians) -> Iterator[Check]:
    for cell, (half, most) in TARGETS.items():
        p50, p99 = medians.of(cell, "p50") * 1e3, medians.of(cell, "p99") * 1e3
        yield Check(f"{cell}: p50 {p50:.2f} ms, p99 {p99:.2f} ms", p50 <= half and p99 <= most)
