"""Sessions in transactions of the caller's: psycopg's connections, and SQLAlchemy's over them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from plait.errors import ConnectionRefused
from plait.jobs.calling import loop_of_call
from plait.jobs.postgres.connect import PostgresSession
from plait.jobs.sql.session import Row

__all__ = ["joined"]

_WANTS = (
    "jobs in PostgreSQL take a psycopg.Connection, a psycopg.AsyncConnection (with enqueue_async), or SQLAlchemy's "
    "Connection or Session over one (postgresql+psycopg://), the async ones with enqueue_async or in run_sync"
)
#: Connections that are known to lead to a queue, by its identity.
_known: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def joined(given: Any, identity: int, where: str) -> PostgresSession:
    """A session in the open transaction of `given`, or in the one that its first statement begins.

    What the driver raises there is raised as it is: the transaction, and what becomes of it, are the caller's.

    Parameters:
        identity: of the queue that the connection must lead to.

    Raises:
        ConnectionRefused: it cannot be used; the message says why, and which can.
    """
    driver, session = _session(given)
    if driver.closed:
        raise ConnectionRefused("connection= is closed.")
    status = driver.info.transaction_status
    if status == TransactionStatus.INERROR:
        raise ConnectionRefused("connection= is in a transaction that has failed: roll it back first.")
    if driver.autocommit and status == TransactionStatus.IDLE:
        raise ConnectionRefused("connection= is in autocommit mode and has no transaction open: begin one.")
    if _known.get(driver) != identity:
        if session.rows("SELECT to_regclass('plait_meta') IS NULL")[0][0]:
            raise ConnectionRefused(f"connection= leads where there are no tables of Plait; the jobs are in {where}.")
        if session.rows("SELECT value FROM plait_meta WHERE name = 'identity'") != [(identity,)]:
            raise ConnectionRefused(f"connection= leads to other jobs than those in {where}.")
        _known[driver] = identity
    return session


def _session(given: Any) -> tuple[Any, PostgresSession]:
    """The driver's connection, and a session on it."""
    if type(given).__module__.startswith("sqlalchemy."):
        proxied = _proxied(given)
        driver = proxied.driver_connection
        if isinstance(driver, psycopg.AsyncConnection) and loop_of_call() is None:  # in run_sync
            return driver, PostgresSession(None, proxied.cursor)
        given = driver
    if isinstance(given, psycopg.Connection):
        return given, PostgresSession(given)
    if isinstance(given, psycopg.AsyncConnection):
        return given, PostgresSession(None, lambda: _Bridge(given))
    raise ConnectionRefused(f"connection= is a {type(given).__module__}.{type(given).__qualname__}: {_WANTS}.")


def _proxied(given: Any) -> Any:
    """What SQLAlchemy has from its pool, for a Connection, a Session, or the async kind of either."""
    if hasattr(given, "run_sync") and hasattr(given, "sync_session"):
        given = _await(given.connection())
    elif hasattr(given, "get_bind") and callable(getattr(given, "connection", None)):
        given = given.connection()  # a Session: its transaction begins now if it has not
    if hasattr(given, "get_raw_connection"):
        if not given.in_transaction():
            _await(given.begin().start())
        return _await(given.get_raw_connection())
    if not hasattr(given, "in_transaction") or not hasattr(given, "connection"):
        raise ConnectionRefused(f"connection= is a {type(given).__module__}.{type(given).__qualname__}: {_WANTS}.")
    if not given.in_transaction():
        given.begin()  # else its commit() would think that there is nothing to commit
    return given.connection


def _await(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Have the loop run what has to run there."""
    loop = loop_of_call()
    if loop is None:
        coroutine.close()
        raise ConnectionRefused("connection= belongs to an event loop: use enqueue_async.")
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


class _Bridge:
    """A cursor of an async connection, for a thread that is not its loop's."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._cursor = psycopg.AsyncCursor(connection, row_factory=tuple_row)

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def execute(self, sql: Any, values: Any, /) -> None:
        _await(self._cursor.execute(sql, values))

    def executemany(self, sql: Any, rows: Any, /) -> None:
        _await(self._cursor.executemany(sql, rows))

    def fetchall(self) -> list[Row]:
        return list(_await(self._cursor.fetchall()))
