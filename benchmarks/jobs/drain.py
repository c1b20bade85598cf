"""10,000 no-ops that are there already, and one worker: plait on SQLite, peers on SQLite and Redis."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.flow.paired import ratio
from benchmarks.harness import Check, Medians, Row
from benchmarks.jobs.draining import FIGURES, drained, noops, settled
from benchmarks.meter import Meter

HUEY, RATE, HUEY_TIMES, REDIS_TIMES = "Huey, SQLite", 16_000, 5, 4
SLOW = 0.3  # of the jobs, for who would take half a minute for all
ROW = Row(
    name="jobs.drain",
    work="no-op jobs, enqueued before the worker is started; plait on SQLite with synchronous=FULL",
    target=f"at least {RATE:,} jobs/s; {HUEY_TIMES} times Huey on SQLite, {REDIS_TIMES} times the fastest on Redis",
    figures=FIGURES,
    size=10_000,
    quick=1_000,
    interval=0.5,
    limit=150.0,
)


@ROW.cell("plait", "plait work, no options: results kept for a day, synchronous=FULL")
def with_plait(meter: Meter) -> None:
    drained(meter, "with_plait", "sqlite", noops(meter.size), after=settled)


@ROW.cell("plait, results not kept", "the same with Jobs(keep=0), as all peers here", against="plait")
def with_plait_forgetting(meter: Meter) -> None:
    os.environ["PLAIT_BENCH_KEEP"] = "0"
    drained(meter, "with_plait", "sqlite", noops(meter.size), after=settled)


@ROW.cell(HUEY, "-k process -w 2, polling every 10 to 50 ms, no results; WAL, synchronous=FULL (its default)")
def with_huey_sqlite(meter: Meter) -> None:
    drained(meter, "with_huey", "sqlite", noops(meter.size))


@ROW.cell("Huey, Redis", "-k process -w 2, no results")
def with_huey_redis(meter: Meter) -> None:
    drained(meter, "with_huey", "redis", noops(meter.size))


@ROW.cell("RQ", "worker-pool -n 2, SimpleWorker (no fork), result_ttl=0; 30 % of the jobs")
def with_rq(meter: Meter) -> None:
    drained(meter, "with_rq", "redis", noops(int(meter.size * SLOW)))


@ROW.cell("Dramatiq", "-p 2 -t 8")
def with_dramatiq(meter: Meter) -> None:
    drained(meter, "with_dramatiq", "redis", noops(meter.size))


@ROW.cell("Celery", "-P prefork -c 2, prefetch 64, results ignored, no gossip, mingle, heartbeat; 30 % of the jobs")
def with_celery(meter: Meter) -> None:
    drained(meter, "with_celery", "redis", noops(int(meter.size * SLOW)))


@ROW.cell("taskiq", "RedisStreamBroker, --workers 2 --max-async-tasks 100 --max-prefetch 100, uvloop, no results")
def with_taskiq(meter: Meter) -> None:
    drained(meter, "with_taskiq", "redis", noops(meter.size))


@ROW.cell("SAQ", "--workers 2, concurrency 50, ttl=-1")
def with_saq(meter: Meter) -> None:
    drained(meter, "with_saq", "redis", noops(meter.size))


ON_REDIS = ("Huey, Redis", "RQ", "Dramatiq", "Celery", "taskiq", "SAQ")


@ROW.verdict
def judge(medians: Medians) -> Iterator[Check]:
    rate, forgetting = (medians.of(cell, "rate") for cell in ("plait", "plait, results not kept"))
    late = medians.of("plait", "settled") * 1e3
    said = f"{rate:,.0f} jobs/s, all settled on disk {late:.0f} ms after the last; {forgetting:,.0f} without results"
    yield Check(said, rate >= RATE)
    huey = ratio(medians, HUEY, "plait", "per_job")
    yield Check(f"Huey on SQLite takes {huey:.1f}x", huey >= HUEY_TIMES)
    measured = [cell for cell in ON_REDIS if medians.values(cell, "per_job")]
    fastest = min(measured, key=lambda cell: medians.of(cell, "per_job"), default=ON_REDIS[0])
    redis = ratio(medians, fastest, "plait", "per_job")
    yield Check(f"{fastest}, the fastest on Redis, takes {redis:.1f}x", redis >= REDIS_TIMES)
