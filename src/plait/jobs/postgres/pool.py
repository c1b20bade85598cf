"""`Pool`: the few connections of a process, opened by who needs one, in transactions that are tried again if they may.

A connection that the server has closed while nobody used it is noticed before it is used. What the server has undone
(a deadlock, a connection that broke before the commit) is done again: nothing of it has happened.
"""

from __future__ import annotations

import contextlib
import random
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from plait.errors import StoreBusy, StoreError
from plait.jobs.postgres.server import PATIENCE, Server, in_words

__all__ = ["LIGHT", "ONE", "READ", "WRITE", "Pool", "Unsure"]

T = TypeVar("T")
#: Connections of one process, at most.
MOST = 8
#: Seconds after which one that nobody uses is closed.
IDLE = 60.0
#: How many times a transaction that the server has undone is tried.
TRIES = 8
WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
#: Waits for no disk: should the server crash, the last moments of these may not have happened.
LIGHT = f"{WRITE}; SET LOCAL synchronous_commit = off"
#: Sees one state of things.
READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
#: A single statement, which is a transaction by itself: one trip to the server instead of three.
ONE = ""


class Unsure(StoreError):
    """The connection broke while a transaction was being committed: whether it was is not known.

    Attributes:
        value: what the work in it has returned; `None` for a single statement.
    """

    def __init__(self, where: str, value: Any) -> None:
        super().__init__(
            f"The connection to {where} broke while a transaction was being committed: whether it was is not known."
        )
        self.value = value


class Pool:
    """Connections to a server.

    Concurrency: safe from any thread.
    """

    def __init__(self, server: Server, most: int = MOST) -> None:
        self._server, self._most = server, most
        self._places = threading.BoundedSemaphore(most)
        self._idle: deque[tuple[psycopg.Connection[Any], float]] = deque()
        self._closed = False

    def run(self, begin: str, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Do `work` in a transaction, again if the server has undone it; it may be called several times.

        Raises:
            StoreError, StoreBusy: it has not happened. Unsure: from the connection's error while committing.
        """
        broke = 0
        for tried in range(1, TRIES + 1):
            with self._connection() as connection, in_words(self._server.where):
                try:
                    return self._transact(connection, begin, work)
                except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                    if tried == TRIES:
                        raise
                except psycopg.OperationalError:
                    broke += 1
                    if broke > 1 or not _is_broken(connection):
                        raise
            time.sleep(random.random() * 0.005 * 2**tried * (broke == 0))
        raise AssertionError("the last try returns or raises")

    def _transact(
        self, connection: psycopg.Connection[Any], begin: str, work: Callable[[psycopg.Connection[Any]], T]
    ) -> T:
        if begin == ONE:
            with self._sure(connection, None):
                return work(connection)
        connection.execute(begin, prepare=False)
        try:
            value = work(connection)
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                connection.execute("ROLLBACK", prepare=False)
            raise
        with self._sure(connection, value):
            connection.execute("COMMIT", prepare=False)
        return value

    @contextmanager
    def _sure(self, connection: psycopg.Connection[Any], value: Any) -> Iterator[None]:
        try:
            yield
        except psycopg.OperationalError as error:
            if _is_broken(connection):
                raise Unsure(self._server.where, value) from error
            raise

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        if not self._places.acquire(timeout=PATIENCE):
            raise StoreBusy(
                f"All {self._most} connections of this process to {self._server.where} have been in use for "
                f"{PATIENCE:.0f} s: too many threads want one at once, or the server is slow."
            )
        try:
            connection = self._get()
            try:
                yield connection
            finally:
                self._put(connection)
        finally:
            self._places.release()

    def _get(self) -> psycopg.Connection[Any]:
        while True:
            try:
                connection, _ = self._idle.pop()
            except IndexError:
                return self._server.connect()
            if _is_fresh(connection):
                return connection
            _close(connection)

    def _put(self, connection: psycopg.Connection[Any]) -> None:
        if self._closed or connection.info.transaction_status != TransactionStatus.IDLE:
            _close(connection)
        else:
            self._idle.append((connection, time.monotonic()))
        with contextlib.suppress(IndexError):
            while self._closed or time.monotonic() - self._idle[0][1] > IDLE:
                _close(self._idle.popleft()[0])

    def close(self) -> None:
        """Close those that nobody uses now, and each other one when it is done with."""
        self._closed = True
        with contextlib.suppress(IndexError):
            while True:
                _close(self._idle.popleft()[0])


def _is_broken(connection: psycopg.Connection[Any]) -> bool:
    return connection.closed or connection.info.transaction_status == TransactionStatus.UNKNOWN


def _is_fresh(connection: psycopg.Connection[Any]) -> bool:
    """Whether an unused connection is as it was: the server says nothing on one but to end it."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    if not poll.poll(0):
        return True
    try:
        connection.pgconn.consume_input()  # a notice, a changed setting
    except psycopg.Error:
        return False
    return not connection.closed and not poll.poll(0)


def _close(connection: psycopg.Connection[Any]) -> None:
    with contextlib.suppress(psycopg.Error):
        connection.close()
