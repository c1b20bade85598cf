"""Opening the file: the driver, how durable it is, and the tables."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from plait.errors import MissingExtra, StoreBusy, StoreError
from plait.jobs.sql.schema import STEPS, VERSION
from plait.jobs.sql.session import Row

try:
    import apsw
except ImportError as error:
    raise MissingExtra("Jobs in a SQLite file", "apsw", "jobs") from error

__all__ = ["PATIENCE", "SqliteSession", "connect", "in_words", "migrate", "transaction"]

#: Seconds to wait for others that write, before giving up.
PATIENCE = 30.0
#: How far ahead the numbers of a caller's own transaction may be: two have the same by chance once in so many.
AHEAD = 1 << 20
_WORDS = {"int": "INTEGER", "real": "REAL", "blob": "BLOB", "hot": ""}
_COUNTERS = "CREATE TABLE plait_counter (name TEXT PRIMARY KEY, next INTEGER NOT NULL)"


def connect(path: str, patience: float = PATIENCE) -> apsw.Connection:
    """A connection to the file, which need not exist. patience: seconds to wait for others that write."""
    with in_words(path, patience):
        connection = apsw.Connection(path, statementcachesize=256)
        connection.set_busy_handler(_Patience(patience))
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("cache_size", -16_000)
        connection.pragma("temp_store", "memory")
        return connection


class _Patience:
    """Waits for the lock in short sleeps: SQLite's own back off to a tenth of a second."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def __call__(self, calls: int) -> bool:
        now = time.monotonic()
        if calls == 0:
            self._until = now + self._seconds
        if now >= self._until:
            return False
        time.sleep(min(0.00005 * 1.2 ** min(calls, 20), 0.002))
        return True


def migrate(connection: apsw.Connection, path: str, patience: float = PATIENCE) -> None:
    """Bring the tables up to date, under the file's lock.

    Raises:
        StoreError: they are newer than this version of Plait.
    """
    with in_words(path, patience):
        if _version(connection) == VERSION:
            return
        with transaction(connection):
            known = _version(connection)
            if known > VERSION:
                raise StoreError(
                    f"The jobs in {path} are of schema version {known}; this Plait knows versions up to {VERSION}. "
                    "Update Plait here. Nothing was changed."
                )
            if known == 0:
                connection.execute(_COUNTERS)
            for step in STEPS[known:]:
                for sql in step:
                    connection.execute(sql.format(**_WORDS))
            connection.execute("INSERT OR REPLACE INTO plait_counter (name, next) VALUES ('version', ?)", (VERSION,))


def _version(connection: apsw.Connection) -> int:
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'plait_counter'").fetchall()
    if not there:
        return 0
    found: Any = connection.execute("SELECT next FROM plait_counter WHERE name = 'version'").fetchall()[0][0]
    return int(found)


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """A transaction that writes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def in_words(path: str, patience: float = PATIENCE) -> Iterator[None]:
    """Say what the database says, and what to do about it.

    Raises:
        StoreBusy, StoreError: for the driver's errors.
    """
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreBusy(
            f"{path} was locked by another process for {patience:g} s. Somebody has kept a transaction open in it: "
            "end that, or keep jobs in a file of their own."
        ) from error
    except apsw.FullError as error:
        raise StoreError(f"{path} cannot grow: the disk is full. Nothing of this was stored; make room.") from error
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise StoreError(f"{path} cannot be written to ({error}): {_why_not(path)}") from error
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreError(f"{path} is not a SQLite database, or is damaged ({error}). Name another file.") from error
    except apsw.IOError as error:
        raise StoreError(f"{path} cannot be read or written ({error}): check the disk and its free space.") from error


def _why_not(path: str) -> str:
    """Why a file cannot be made or opened, as far as its folder tells."""
    folder = os.path.dirname(path)
    if os.path.isdir(folder):
        return "check the folder and its permissions."
    marks = [mark for mark in ("~", "$") if any(part.startswith(mark) for part in path.split(os.sep))]
    plainly = f" {' and '.join(marks)} in it stand for nothing here: write the whole path." if marks else ""
    return f"there is no folder {folder}.{plainly or ' Make it first.'}"


class SqliteSession:
    """A session on a connection of the driver.

    Parameters:
        joined: whether the transaction is the caller's own: if it is rolled back, so are the numbers that it took, and
            others must not get those of handles that are still about. So it takes them from far ahead, at random.
    """

    unlocked = locked = kept = going = ""  # there is one transaction at a time

    def __init__(self, connection: apsw.Connection, *, joined: bool = False) -> None:
        self.news = self.ends = False
        self._joined = joined
        self._connection = connection
        self._execute = connection.execute

    def alone(self, name: str) -> bool:
        """There is one transaction at a time."""
        return True

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a statement's result."""
        if "?*" in sql:
            sql, values = _lists(sql), [json.dumps(v) if type(v) is list else v for v in values]
        return self._execute(sql, _storable(values)).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it changed."""
        if "?*" in sql:
            sql, values = _lists(sql), [json.dumps(v) if type(v) is list else v for v in values]
        self._execute(sql, _storable(values))
        return self._connection.changes()

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of `rows`."""
        self._connection.executemany(sql, map(_storable, rows))

    def try_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """The same: there is one transaction at a time."""
        self.many(sql, rows)

    def number_from(self, counter: str, last: int) -> None:
        """Go on above `last`."""
        self._execute(
            "INSERT INTO plait_counter (name, next) VALUES (?, ?) ON CONFLICT (name) "
            "DO UPDATE SET next = excluded.next WHERE next < excluded.next",
            (counter, last + 1),
        )

    def last(self, counter: str) -> int:
        """What was given."""
        found: Any = self._execute("SELECT next - 1 FROM plait_counter WHERE name = ?", (counter,)).fetchall()
        return int(found[0][0]) if found else 0

    def identity(self) -> int:
        """A random number, drawn when it is first asked for."""
        self._execute("INSERT OR IGNORE INTO plait_counter (name, next) VALUES ('identity', abs(random() >> 1))")
        return int(self.rows("SELECT next FROM plait_counter WHERE name = 'identity'")[0][0])

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Store many rows."""
        marks = ", ".join("?" * len(columns))
        self.many(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def shut_out(self, table: str) -> None:
        """Who has read to write, in a transaction that writes, has the lock that this one has now."""

    def seal(self) -> None:
        """A transaction that began earlier cannot write any more."""

    def unseal(self) -> None:
        """The opposite."""

    def ids(self, counter: str, count: int) -> range:
        """New numbers."""
        sql = (
            "INSERT INTO plait_counter (name, next) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET next = next + ? RETURNING next"
        )
        ahead = secrets.randbelow(AHEAD) if self._joined else 0
        after: Any = self._execute(sql, (counter, ahead + count + 1, ahead + count)).fetchall()[0][0]
        return range(after - count, after)


def _storable(values: Sequence[Any]) -> Sequence[Any]:
    """The same, but halves of surrogate pairs (they come from names of files) as Python prints them: no UTF-8 has them.

    An outcome must not get lost for what an exception says, or a worker stop for what a gate is called.
    """
    if all(type(value) is not str or value.isascii() for value in values):
        return values
    return [v.encode("utf-8", "backslashreplace").decode() if type(v) is str else v for v in values]


@cache
def _lists(sql: str) -> str:
    return sql.replace("?*", "(SELECT value FROM json_each(?))")
