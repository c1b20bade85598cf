"""What a job costs the store when a million others are waiting, and while somebody holds an old snapshot open.

A worker's own calls, with no worker around them: turns that settle what the last one claimed and claim anew.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.harness import Check, Figure, Medians, Row
from benchmarks.jobs.stage import Stage, stage
from benchmarks.jobs.work import TEXT
from benchmarks.meter import Meter

WITHIN, TURN, CHUNK, PASSED = 2.0, 250, 10_000, 20
ROW = Row(
    name="jobs.crowd",
    work="claiming and settling no-ops in turns of 250: with so many waiting; with an old snapshot held open",
    target=f"within {WITHIN:g} times what it costs when the table is empty but for them",
    figures=(
        Figure("times", "of the empty table's"),
        Figure("crowded", "us/job", scale=1e6),
        Figure("empty", "us/job, empty table", scale=1e6),
        Figure("most", "us/job, the worst 20th", scale=1e6, compared=False),
    ),
    size=1_000_000,
    quick=20_000,
    interval=1.0,
    limit=300.0,
)


class Passing:
    """A worker that does nothing with its jobs."""

    def __init__(self, at: Stage) -> None:
        from plait.jobs.records import WorkerInfo

        self.store = at.app.jobs.store
        self.worker = self.store.register(WorkerInfo(host="bench", pid=0))
        self._draft = at.app.TASKS["noop"].drafted((0, TEXT), {})

    def enqueue(self, count: int) -> None:
        for start in range(0, count, CHUNK):
            self.store.enqueue([self._draft] * min(CHUNK, count - start))

    def passed(self, count: int) -> list[float]:
        """Have so many jobs claimed and done; seconds a job, of each turn that does both.

        Raises:
            RuntimeError: there are not so many.
        """
        from plait.jobs.protocol import Event
        from plait.jobs.records import Outcome, Want

        costs: list[float] = []
        outcomes: list[Any] = []
        for _ in range(count // TURN):
            self.store.beat(self.worker)
            before = time.perf_counter()
            turn = self.store.turn(self.worker, outcomes, [Want("noop", TURN)])
            costs.append((time.perf_counter() - before) / TURN)
            if len(turn.claimed) != TURN:
                raise RuntimeError(f"{len(turn.claimed)} jobs of {TURN} were claimed")
            outcomes = [Outcome(id=job.id, token=job.token, event=Event.SUCCEED, keep=0) for job in turn.claimed]
        self.store.turn(self.worker, outcomes)
        return costs[1:]


def recorded(meter: Meter, empty: list[float], crowded: list[float]) -> None:
    before, after = statistics.median(empty), statistics.median(crowded)
    meter.record(empty=before, crowded=after, times=after / before, most=sorted(crowded)[-1 - len(crowded) // 20])


def a_million(meter: Meter, store: str) -> None:
    """The cost with nobody else there, then with so many others."""
    with stage("with_plait", store, 1) as at:
        passing, count = Passing(at), meter.size // PASSED
        for _ in range(2):  # the first time warms up
            passing.enqueue(count)
            empty = passing.passed(count)
        passing.enqueue(meter.size)
        with meter.timed():
            crowded = passing.passed(count)
        recorded(meter, empty, crowded)


@contextmanager
def snapshot_sqlite(at: Stage) -> Iterator[None]:
    import apsw

    connection = apsw.Connection(at.url.removeprefix("sqlite:///"))
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM plait_job").fetchall()
    try:
        yield
    finally:
        connection.close()


@contextmanager
def snapshot_postgres(at: Stage) -> Iterator[None]:
    import psycopg

    with psycopg.connect(at.url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM plait_job").fetchall()
        yield


def a_snapshot(meter: Meter, store: str, held: Callable[[Stage], Any]) -> None:
    """The cost before, and of the last tenth of so many jobs that pass while the snapshot is held."""
    with stage("with_plait", store, 1) as at, ExitStack() as ending:
        passing, each = Passing(at), max(2 * TURN, meter.size // PASSED // 10)
        for _ in range(2):
            passing.enqueue(each)
            empty = passing.passed(each)
        ending.enter_context(held(at))
        with meter.timed():
            for _ in range(10):
                passing.enqueue(each)
                crowded = passing.passed(each)
        recorded(meter, empty, crowded)


@ROW.cell("plait, so many waiting", "SQLite; 50,000 pass")
def with_a_million(meter: Meter) -> None:
    a_million(meter, "sqlite")


@ROW.cell("plait, an old snapshot", "SQLite; the last 5,000 of 50,000 that pass meanwhile")
def with_a_snapshot(meter: Meter) -> None:
    a_snapshot(meter, "sqlite", snapshot_sqlite)


@ROW.cell("plait, so many waiting, PostgreSQL", "50,000 pass")
def with_a_million_postgres(meter: Meter) -> None:
    a_million(meter, "postgres")


@ROW.cell("plait, an old snapshot, PostgreSQL", "REPEATABLE READ; the last 5,000 of 50,000 that pass meanwhile")
def with_a_snapshot_postgres(meter: Meter) -> None:
    a_snapshot(meter, "postgres", snapshot_postgres)


@ROW.verdict
def judge(medians: Medians) -> Iterator[Check]:
    for cell in medians.row.cells:
        times, cost = medians.of(cell, "times"), medians.of(cell, "crowded") * 1e6
        yield Check(f"{cell.removeprefix('plait, ')}: {times:.2f} times, {cost:.0f} us/job", times <= WITHIN)
