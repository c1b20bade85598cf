"""10,000 no-ops that are there already, and one worker of two processes, on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.flow.paired import ratio
from benchmarks.harness import Check, Medians, Row
from benchmarks.jobs.draining import FIGURES, drained, noops, settled
from benchmarks.meter import Meter

PGQUEUER, TIMES, SLOW = "PgQueuer", 15, 0.3
KEPT = "plait, results kept"
ROW = Row(
    name="jobs.postgres",
    work="no-op jobs on PostgreSQL with its defaults (durable), enqueued before the worker is started",
    target=f"at least PgQueuer's rate at its best; {TIMES} times Procrastinate's and SAQ's",
    figures=FIGURES,
    size=10_000,
    quick=1_000,
    interval=0.5,
    limit=150.0,
)


@ROW.cell("plait", "plait work, no options (one process that claims, one that runs); Jobs(keep=0), as all peers here")
def with_plait(meter: Meter) -> None:
    os.environ["PLAIT_BENCH_KEEP"] = "0"
    drained(meter, "with_plait", "postgres", noops(meter.size), after=settled)


@ROW.cell(KEPT, "the same, results kept for a day", against="plait")
def with_plait_keeping(meter: Meter) -> None:
    drained(meter, "with_plait", "postgres", noops(meter.size), after=settled)


@ROW.cell(PGQUEUER, "two processes, batch_size=100, uvloop")
def with_pgqueuer(meter: Meter) -> None:
    drained(meter, "with_pgqueuer", "postgres", noops(meter.size))
    from benchmarks.jobs.apps.with_pgqueuer import DRIVER

    meter.note(f"over {DRIVER}")


@ROW.cell("Procrastinate", "two processes, -c 50 --delete-jobs successful; 30 % of the jobs")
def with_procrastinate(meter: Meter) -> None:
    drained(meter, "with_procrastinate", "postgres", noops(int(meter.size * SLOW)))


@ROW.cell("SAQ", "--workers 2, concurrency 50, ttl=-1; 30 % of the jobs")
def with_saq(meter: Meter) -> None:
    drained(meter, "with_saq", "postgres", noops(int(meter.size * SLOW)))


@ROW.verdict
def judge(medians: Medians) -> Iterator[Check]:
    for cell in ("plait", KEPT):
        late = medians.of(cell, "settled") * 1e3
        behind = ratio(medians, PGQUEUER, cell, "per_job")
        said = f"{cell}: {medians.of(cell, 'rate'):,.0f} jobs/s, all settled {late:.0f} ms after the last; "
        yield Check(f"{said}PgQueuer takes {behind:.2f}x", behind >= 1)
    for cell in ("Procrastinate", "SAQ"):
        times = ratio(medians, cell, "plait", "per_job")
        yield Check(f"{cell} takes {times:.1f}x", times >= TIMES)
