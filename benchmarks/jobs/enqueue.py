"""Enqueueing one job after the other, each stored for good before the next, and many at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.jobs.draining import noops
from benchmarks.jobs.stage import stage
from benchmarks.jobs.work import TEXT
from benchmarks.meter import Meter

SHARE, AT_ONCE = 0.7, 50_000
WARM, TURNS, MANY = 50, 10, 5
TABLE = "CREATE TABLE byhand (id {} PRIMARY KEY, lane BIGINT, state BIGINT, created DOUBLE PRECISION, args {})"
INDEX = "CREATE INDEX byhand_ready ON byhand (lane, id) WHERE state = 1"
ROW = Row(
    name="jobs.enqueue",
    work=f"enqueueing: jobs one by one (each in a transaction of its own), and {MANY} times as many at once",
    target=f"at least {SHARE} of the bare driver's single transactions; {AT_ONCE:,} jobs/s at once",
    figures=(
        Figure("single", "us/job one by one", scale=1e6),
        Figure("singles", "jobs/s one by one", compared=False),
        Figure("of_raw", "of the bare driver's", compared=False),
        Figure("many", "jobs/s at once", compared=False),
    ),
    size=2_000,
    quick=200,
    interval=0.5,
    limit=120.0,
)
Singles = Callable[[int], None]


def apsw_byhand(folder: Path) -> tuple[Singles, Singles]:
    """Single transactions, and one for all, in a file beside plait's."""
    import apsw

    connection = apsw.Connection(str(folder / "byhand.db"))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.execute(TABLE.format("INTEGER", "BLOB"))
    connection.execute(INDEX)
    sql, args = "INSERT INTO byhand (lane, state, created, args) VALUES (1, 1, ?, ?)", TEXT.encode()

    def one_by_one(count: int) -> None:
        for _ in range(count):
            connection.execute(sql, (time.time(), args))

    def at_once(count: int) -> None:
        with connection:
            connection.executemany(sql, [(time.time(), args)] * count)

    return one_by_one, at_once


def psycopg_byhand(url: str) -> tuple[Singles, Singles]:
    """The same in a table beside plait's."""
    import psycopg

    connection = psycopg.connect(url, autocommit=True, prepare_threshold=2)
    connection.execute(TABLE.format("BIGSERIAL", "BYTEA"))
    connection.execute(INDEX)
    sql, args = "INSERT INTO byhand (lane, state, created, args) VALUES (1, 1, %s, %s)", TEXT.encode()

    def one_by_one(count: int) -> None:
        for _ in range(count):
            connection.execute(sql, (time.time(), args))

    def at_once(count: int) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(sql, [(time.time(), args)] * count)

    return one_by_one, at_once


def timed(call: Callable[[Any], object], given: Any) -> float:
    before = time.perf_counter()
    call(given)
    return time.perf_counter() - before


def enqueued(meter: Meter, app: str, store: str, bare: Callable[[Any], Singles] | None = None) -> None:
    """Enqueue one by one, in turns with the bare driver where there is one to compare with, then many at once."""
    count, many = meter.size // TURNS * TURNS, meter.size * MANY
    with stage(app, store, max(WARM + count, many)) as at:
        one_by_one, raw = at.app.one_by_one, bare(at) if bare else None
        one_by_one(noops(WARM))
        if raw:
            raw(WARM)
        calls, single, by_raw = noops(count), 0.0, 0.0
        with meter.timed():
            for turn in range(TURNS):
                single += timed(one_by_one, calls[turn::TURNS])
                by_raw += timed(raw, count // TURNS) if raw else 0.0
        meter.record(single=single / count, singles=count / single)
        if raw:
            meter.record(of_raw=by_raw / single)
        if hasattr(at.app, "at_once"):
            meter.record(many=many / timed(at.app.at_once, noops(many)))


def by_hand(meter: Meter, store: str, made: Callable[[Any], tuple[Singles, Singles]]) -> None:
    with stage("with_plait", store, 1) as at:
        one_by_one, at_once = made(at)
        one_by_one(WARM)
        with meter.timed():
            single = timed(one_by_one, meter.size)
        many = meter.size * MANY
        meter.record(single=single / meter.size, singles=meter.size / single, many=many / timed(at_once, many))


@ROW.cell("plait", "task.enqueue(n, text); enqueue_many; SQLite, synchronous=FULL; in turns with apsw")
def with_plait(meter: Meter) -> None:
    enqueued(meter, "with_plait", "sqlite", lambda at: apsw_byhand(at.folder)[0])


@ROW.cell("apsw by hand", "INSERT into a table with one index, autocommit, synchronous=FULL; executemany")
def with_apsw(meter: Meter) -> None:
    by_hand(meter, "sqlite", lambda at: apsw_byhand(at.folder))


@ROW.cell("plait, PostgreSQL", "the same on PostgreSQL; in turns with psycopg")
def with_plait_postgres(meter: Meter) -> None:
    enqueued(meter, "with_plait", "postgres", lambda at: psycopg_byhand(at.url)[0])


@ROW.cell("psycopg by hand", "INSERT, autocommit, prepared; executemany", against="plait, PostgreSQL")
def with_psycopg(meter: Meter) -> None:
    by_hand(meter, "postgres", lambda at: psycopg_byhand(at.url))


@ROW.cell("Huey, SQLite", "task(n, text)")
def with_huey_sqlite(meter: Meter) -> None:
    enqueued(meter, "with_huey", "sqlite")


@ROW.cell("Huey, Redis", "task(n, text); Redis here and below as Debian has it: nothing is on disk when it answers")
def with_huey_redis(meter: Meter) -> None:
    enqueued(meter, "with_huey", "redis")


@ROW.cell("RQ", "enqueue; enqueue_many by thousands")
def with_rq(meter: Meter) -> None:
    enqueued(meter, "with_rq", "redis")


@ROW.cell("Dramatiq", "send")
def with_dramatiq(meter: Meter) -> None:
    enqueued(meter, "with_dramatiq", "redis")


@ROW.cell("Celery", "delay; group(...).apply_async() by thousands")
def with_celery(meter: Meter) -> None:
    enqueued(meter, "with_celery", "redis")


@ROW.cell("taskiq", "await kiq; gather of 100")
def with_taskiq(meter: Meter) -> None:
    enqueued(meter, "with_taskiq", "redis")


@ROW.cell("SAQ, Redis", "await enqueue; gather of 50")
def with_saq_redis(meter: Meter) -> None:
    enqueued(meter, "with_saq", "redis")


@ROW.cell("PgQueuer", "await enqueue; lists of a thousand", against="plait, PostgreSQL")
def with_pgqueuer(meter: Meter) -> None:
    enqueued(meter, "with_pgqueuer", "postgres")


@ROW.cell("Procrastinate", "await defer_async; batch_defer_async by thousands", against="plait, PostgreSQL")
def with_procrastinate(meter: Meter) -> None:
    enqueued(meter, "with_procrastinate", "postgres")


@ROW.cell("SAQ, PostgreSQL", "await enqueue; gather of 50", against="plait, PostgreSQL")
def with_saq_postgres(meter: Meter) -> None:
    enqueued(meter, "with_saq", "postgres")


@ROW.verdict
def judge(medians: Medians) -> Iterator[Check]:
    for cell, named in (("plait", "SQLite"), ("plait, PostgreSQL", "PostgreSQL")):
        share, many = medians.of(cell, "of_raw"), medians.of(cell, "many")
        yield Check(f"{named}: {share:.2f} of the bare driver's singles", share >= SHARE)
        yield Check(f"{named}: {many:,.0f} jobs/s at once", many >= AT_ONCE)
