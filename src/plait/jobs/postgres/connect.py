"""Connections: a small pool, the tables, and what the driver's errors mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from plait.errors import MissingExtra, StoreBusy, StoreError
from plait.jobs.sql.schema import STEPS, VERSION
from plait.jobs.sql.session import Row

try:
    import psycopg
    from psycopg_pool import ConnectionPool, PoolTimeout
except ImportError as error:
    raise MissingExtra("Jobs in PostgreSQL", "psycopg", "postgres") from error

__all__ = ["PATIENCE", "PostgresSession", "in_words", "migrate", "pool"]

#: Seconds to wait for a connection.
PATIENCE = 10.0
#: Connections of one process, at most.
MOST = 8
#: A process that was stopped in the middle of a transaction must not keep its locks from everybody else.
_OPTIONS = "-c idle_in_transaction_session_timeout=5000"
#: What all who bring the tables up to date lock.
_LOCK = 0x506C616974
_WORDS = {
    "int": "BIGINT",
    "real": "DOUBLE PRECISION",
    "blob": "BYTEA",
    # Rows change several times in their short lives: room for that on their page, and a vacuum that comes often.
    "hot": " WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000)",
}


def pool(url: str) -> ConnectionPool[Any]:
    """A pool that opens connections when they are needed."""
    made: ConnectionPool[Any] = ConnectionPool(
        url,
        min_size=0,
        max_size=MOST,
        timeout=PATIENCE,
        max_idle=60.0,
        open=False,
        kwargs={"prepare_threshold": 2, "application_name": "plait", "options": _OPTIONS},
        check=None,
        name="plait",
    )
    made.open(wait=False)
    return made


def migrate(connection: psycopg.Connection[Any], where: str) -> None:
    """Bring the tables up to date, under a lock.

    Raises:
        StoreError: they are newer than this version of Plait.
    """
    with in_words(where), connection.transaction():
        if _version(connection) == VERSION:
            return
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        known = _version(connection)
        if known > VERSION:
            raise StoreError(
                f"The jobs in {where} are of schema version {known}; this Plait knows versions up to {VERSION}. "
                "Update Plait here. Nothing was changed."
            )
        if known == 0:
            connection.execute("CREATE TABLE plait_meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL)")
            for counter in ("job", "lane", "grp", "worker"):
                connection.execute(f"CREATE SEQUENCE plait_{counter}_seq")
        for step in STEPS[known:]:
            for sql in step:
                connection.execute(sql.format(**_WORDS))
        connection.execute(
            "INSERT INTO plait_meta VALUES ('version', %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (VERSION,),
        )


def _version(connection: psycopg.Connection[Any]) -> int:
    there = connection.execute("SELECT to_regclass('plait_meta')").fetchone()
    if there is None or there[0] is None:
        return 0
    found = connection.execute("SELECT value FROM plait_meta WHERE name = 'version'").fetchone()
    return int(found[0]) if found is not None else 0


@contextmanager
def in_words(where: str) -> Iterator[None]:
    """Say what the database says, and what to do about it.

    Raises:
        StoreBusy, StoreError: for the driver's errors.
    """
    try:
        yield
    except PoolTimeout as error:
        raise StoreBusy(
            f"No connection to {where} within {PATIENCE:.0f} s: is the server up, and has it room?"
        ) from error
    except psycopg.OperationalError as error:
        raise StoreError(f"{where} cannot be reached: {_first(error)}") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(f"{where} refuses: {_first(error)}. Plait needs to create its tables once.") from error
    except psycopg.Error as error:
        raise StoreError(f"{where} says: {_first(error)}") from error


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class PostgresSession:
    """A session on a connection of the driver, in an open transaction."""

    unlocked = " FOR UPDATE SKIP LOCKED"

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a statement's result."""
        return self.connection.execute(_own(sql), values).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it changed."""
        return self.connection.execute(_own(sql), values).rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of `rows`."""
        with self.connection.cursor() as cursor:
            cursor.executemany(_own(sql), rows)

    def number_from(self, counter: str, last: int) -> None:
        """Go on above `last`."""
        if last > 0:
            name = f"plait_{counter}_seq"
            self.connection.execute(f"SELECT setval('{name}', greatest(%s, nextval('{name}')))", (last,))

    def ids(self, counter: str, count: int) -> list[int]:
        """New numbers."""
        sql = f"SELECT nextval('plait_{counter}_seq') FROM generate_series(1, %s)"
        return [row[0] for row in self.connection.execute(sql, (count,))]


@cache
def _own(sql: str) -> str:
    return sql.replace("IN ?*", "= ANY(%s)").replace("?", "%s")
