"""Moving a queue from one store to another, whole: what is waiting, what has ended, keys, groups, schedules.

The source is closed first: from then on nobody enqueues there or claims, and all are told where the queue has gone.
Jobs that run at that moment may end; what has not when their workers' leases run out is recovered, as after a crash.
Then every row is copied, in one transaction of the destination. Until that commits the source keeps everything: a move
that fails is taken back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from plait.errors import OptionError, StoreError
from plait.jobs.open import checked_url, open_store
from plait.jobs.protocol import LEASE
from plait.jobs.sql.schema import COPIED
from plait.jobs.sql.store import SqlStore

__all__ = ["Moved", "move"]

#: Rows that are read and written at a time.
PAGE = 2000
#: Seconds until workers that have nothing left to claim are done with what they have.
PATIENCE = 4 * LEASE


class Moved(NamedTuple):
    """How many jobs were moved: to be worked on, and ended."""

    jobs: int
    ended: int


def move(source: str, destination: str, tell: Callable[[str], object] = lambda said: None) -> Moved:
    """Move all that is in `source` to `destination`, which must not have jobs of its own.

    Raises:
        OptionError: a URL cannot be used for that. StoreError: the destination has jobs, or a store cannot be used;
            the source is as it was.
    """
    if checked_url(source) == checked_url(destination):
        raise OptionError("destination", destination, "it is where the queue is already")
    from_, to = open_store(source), open_store(destination)
    try:
        if not isinstance(from_, SqlStore) or not isinstance(to, SqlStore):
            raise OptionError("source", source, "only queues in SQLite and PostgreSQL can be moved")
        return _move(from_, to, tell)
    finally:
        from_.close()
        to.close()


def _move(source: SqlStore, destination: SqlStore, tell: Callable[[str], object]) -> Moved:
    sql = "SELECT 1 FROM plait_job UNION ALL SELECT 1 FROM plait_done LIMIT 1"
    if destination.read(lambda session: session.rows(sql)):
        raise StoreError(f"{destination.where} has jobs already: their numbers could be those of the jobs that come.")
    source.close_for(destination.where)
    try:
        _wait(source, tell)
        counts = destination.write(lambda session: _copy(source, session))
    except BaseException:
        source.close_for(None)
        raise
    return counts


def _wait(source: SqlStore, tell: Callable[[str], object]) -> None:
    """Until nobody has a job in hand."""
    until, told = time.monotonic() + PATIENCE, False
    while True:
        source.upkeep()
        running = sum(view.running for view in source.workers())
        if not running:
            return
        if time.monotonic() > until:
            raise StoreError(f"{running} jobs still run after {PATIENCE:.0f} s. End their workers, then try again.")
        if not told:
            tell(f"{running} jobs run: waiting until they have ended.")
            told = True
        time.sleep(0.2)


def _copy(source: SqlStore, session: Any) -> Moved:
    counts = {}
    for table, key, columns in COPIED:
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        after: tuple[Any, ...] = ()
        counts[table] = 0
        while True:
            behind = f"WHERE ({', '.join(key)}) > ({', '.join('?' * len(key))})" if after else ""
            sql = f"SELECT {names} FROM {table} {behind} ORDER BY {', '.join(key)} LIMIT {PAGE}"
            rows = source.read(lambda reading, sql=sql, after=after: reading.rows(sql, after))  # type: ignore[misc]
            if not rows:
                break
            session.many(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
            counts[table] += len(rows)
            after = tuple(rows[-1][columns.index(name)] for name in key)
    for counter, table in (("job", "plait_job"), ("job", "plait_done"), ("lane", "plait_lane"), ("grp", "plait_grp")):
        last = session.rows(f"SELECT max(id) FROM {table}")[0][0]
        session.number_from(counter, last or 0)
    return Moved(counts["plait_job"], counts["plait_done"])
