"""The tables, and a session in which the SQL of `plait.jobs.sql` runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Protocol

import psycopg
from psycopg.rows import tuple_row

from plait.errors import StoreBusy, StoreError
from plait.jobs.sql.schema import STEPS, VERSION
from plait.jobs.sql.session import Row

__all__ = ["Cursor", "PostgresSession", "migrate", "own", "storable"]

#: Milliseconds for which a transaction that all others wait for may wait itself.
LOCKING = 500
#: Milliseconds for which a worker waits for what it can do without.
BRIEFLY = 20
#: Seconds for which one may do nothing while it is filled.
LOADING = 60
#: What keeps jobs out of a queue that has gone.
_GONE = """CREATE OR REPLACE FUNCTION plait_gone() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'This queue has moved: nothing was enqueued.'; END $$"""
#: What all who bring the tables up to date lock.
_LOCK = 0x506C616974
_WORDS = {
    "int": "BIGINT",
    "real": "DOUBLE PRECISION",
    "blob": "BYTEA",
    # Rows change several times in their short lives: room for that on their page, and a vacuum that comes often.
    "hot": " WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000)",
}


def migrate(connection: psycopg.Connection[Any], where: str) -> int:
    """Bring the tables up to date in the open transaction, under a lock; what tells these jobs from all others.

    Raises:
        StoreError: they are newer than this version of Plait.
    """
    if _version(connection) != VERSION:
        _migrate(connection, where)
    return PostgresSession(connection).identity()


def _migrate(connection: psycopg.Connection[Any], where: str) -> None:
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
    # Not to_regclass: after waiting for the lock it may still not know what others have made in the meantime.
    sql = "SELECT 1 FROM pg_class WHERE relname = 'plait_meta' AND pg_table_is_visible(oid)"
    if connection.execute(sql).fetchone() is None:
        return 0
    found = connection.execute("SELECT value FROM plait_meta WHERE name = 'version'").fetchone()
    return int(found[0]) if found is not None else 0


class Cursor(Protocol):
    """What a session needs of a driver."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""
        ...

    def execute(self, sql: Any, values: Any, /) -> object:
        """Run a statement."""
        ...

    def executemany(self, sql: Any, rows: Any, /) -> object:
        """Run one for each of `rows`."""
        ...

    def fetchall(self) -> list[Row]:
        """The rows of its result."""
        ...


class PostgresSession:
    """A session on a connection of the driver, in an open transaction."""

    unlocked = " FOR UPDATE SKIP LOCKED"
    locked = " FOR NO KEY UPDATE"  # which does not wait for a task's own transaction
    kept, going = " FOR KEY SHARE", " FOR UPDATE"

    def __init__(self, connection: psycopg.Connection[Any] | None, cursor: Callable[[], Cursor] | None = None) -> None:
        self.news = self.ends = False
        self.connection = connection
        self._cursor = cursor or self._plain

    def _plain(self) -> Cursor:
        """A cursor like any other, whatever kind of cursors and rows the connection makes for its owner."""
        assert self.connection is not None
        return psycopg.Cursor(self.connection, row_factory=tuple_row)

    def _execute(self, sql: str, values: Sequence[Any]) -> Cursor:
        cursor = self._cursor()
        cursor.execute(own(sql), storable(values))
        return cursor

    def alone(self, name: str) -> bool:
        """Take a lock of that name, if nobody has it."""
        return bool(self.rows("SELECT pg_try_advisory_xact_lock(hashtextextended(?, 0))", (name,))[0][0])

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a statement's result."""
        return self._execute(sql, values).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it changed."""
        return self._execute(sql, values).rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of `rows`."""
        self._cursor().executemany(own(sql), [storable(row) for row in rows])

    def try_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """The same, given up after some milliseconds."""
        was = self.rows("SELECT current_setting('lock_timeout')")[0][0]
        self.run("SAVEPOINT briefly")
        self.run(f"SET LOCAL lock_timeout = '{BRIEFLY}ms'")
        try:
            self.many(sql, rows)
            self.rows("SELECT set_config('lock_timeout', ?, true)", (was,))
        except psycopg.errors.LockNotAvailable:
            self.run("ROLLBACK TO briefly")  # the setting, too
        self.run("RELEASE briefly")

    def number_from(self, counter: str, last: int) -> None:
        """Go on above `last`."""
        if last > 0:
            name = f"plait_{counter}_seq"
            self.rows(f"SELECT setval('{name}', greatest(?, nextval('{name}')))", (last,))

    def last(self, counter: str) -> int:
        """What was given."""
        return int(self.rows(f"SELECT last_value FROM plait_{counter}_seq")[0][0])

    def identity(self) -> int:
        """A random number, drawn when it is first asked for."""
        found = self.rows("SELECT value FROM plait_meta WHERE name = 'identity'")
        if found:  # most roles need not be able to write there
            return int(found[0][0])
        drawn = "('x' || left(md5(gen_random_uuid()::text), 15))::bit(60)::bigint"
        self.run(f"INSERT INTO plait_meta VALUES ('identity', {drawn}) ON CONFLICT (name) DO NOTHING")
        return int(self.rows("SELECT value FROM plait_meta WHERE name = 'identity'")[0][0])

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Store many rows, in the text that the server reads fastest; it cannot store NUL characters."""
        assert self.connection is not None
        self.run(f"SET LOCAL idle_in_transaction_session_timeout = '{LOADING}s'")
        with self.connection.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as out:
            for row in rows:
                out.write_row(storable(row))

    def shut_out(self, table: str) -> None:
        """Take the lock that conflicts with reading."""
        self._locking(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")

    def seal(self) -> None:
        """A trigger holds for transactions of every isolation, and making it waits for those that have stored."""
        self._locking(_GONE)
        self._locking("CREATE TRIGGER plait_gone BEFORE INSERT ON plait_job FOR EACH ROW EXECUTE FUNCTION plait_gone()")

    def unseal(self) -> None:
        """The opposite."""
        if self.rows("SELECT 1 FROM pg_trigger WHERE tgrelid = 'plait_job'::regclass AND tgname = 'plait_gone'"):
            self._locking("DROP TRIGGER plait_gone ON plait_job")

    def _locking(self, sql: str) -> None:
        """Run what waits for others, and has still others wait: so not for long."""
        self.run(f"SET LOCAL lock_timeout = '{LOCKING}ms'")
        try:
            self.run(sql)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            raise StoreBusy(
                "Somebody keeps a transaction open that has enqueued, or reads, jobs (a backup does, too): nothing was "
                "moved. Try again when it has ended."
            ) from error

    def ids(self, counter: str, count: int) -> list[int]:
        """New numbers."""
        sql = f"SELECT nextval('plait_{counter}_seq') FROM generate_series(1, ?)"
        return [row[0] for row in self.rows(sql, (count,))]


def storable(values: Sequence[Any]) -> Sequence[Any]:
    """The same without what no text here can have: NUL, and halves of surrogate pairs.

    An outcome must not get lost for what an exception says, or a worker stop for what a gate is called.
    """
    if any(type(value) is str and ("\0" in value or not value.isascii()) for value in values):
        return [_text(value) if type(value) is str else value for value in values]
    return values


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


@cache
def own(sql: str) -> str:
    """A statement of `plait.jobs.sql` in the driver's words."""
    return sql.replace("IN ?*", "= ANY(%s)").replace("?", "%s")
