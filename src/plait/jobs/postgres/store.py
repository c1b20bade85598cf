"""`PostgresStore`: jobs in PostgreSQL."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from plait.errors import ConnectionRefused, Stale
from plait.jobs.postgres import hot
from plait.jobs.postgres.connect import PostgresSession, in_words, migrate, pool
from plait.jobs.postgres.listen import Ear, Voice
from plait.jobs.presence import Presence
from plait.jobs.protocol import Event
from plait.jobs.records import Claimed, Draft, Fan, Outcome, Placed, Want, WorkerInfo
from plait.jobs.sql import claim
from plait.jobs.sql.enqueue import enqueue
from plait.jobs.sql.schema import RUNNING
from plait.jobs.sql.session import Row, Session
from plait.jobs.sql.store import SqlStore
from plait.jobs.store import Listener, Transaction

__all__ = ["PostgresStore"]

T = TypeVar("T")
#: Seconds for which the difference between the server's clock and this one counts as known.
CLOCK = 30.0
#: Jobs from which on they are copied instead of inserted.
MANY = 20
_WORKERS, _WAITERS = "plait_workers", "plait_waiters"


class PostgresStore(SqlStore):
    """A store on a server, for processes of many machines.

    Parameters:
        url: as libpq knows it. Connections are opened when they are needed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.where = url.rpartition("@")[2].partition("?")[0] or "the server"
        self._pool = pool(url)
        self._marks = hot.Watermarks()
        self._ahead, self._asked = 0.0, float("-inf")
        self._voice = Voice(self._connect)
        self._closed = False
        self._lock = threading.Lock()
        with in_words(self.where), self._pool.connection() as connection:
            migrate(connection, self.where)
            self._look_at_clock(connection)
        key = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.presence = Presence(Path(tempfile.gettempdir()) / f"plait-{os.getuid()}" / key)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True, application_name="plait", connect_timeout=5)

    def now(self) -> float:
        """Seconds since the epoch, by the server's clock."""
        return time.time() + self._ahead

    def _look_at_clock(self, connection: psycopg.Connection[Any]) -> None:
        began = time.time()
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        assert row is not None
        self._ahead, self._asked = row[0] - (began + time.time()) / 2, time.monotonic()

    def write(self, work: Callable[[Session], T], *, durable: bool = True) -> T:
        """Do `work` in a transaction that writes."""
        with in_words(self.where), self._pool.connection() as connection:
            if time.monotonic() - self._asked > CLOCK:
                self._look_at_clock(connection)
            return work(PostgresSession(connection))

    def read(self, work: Callable[[Session], T]) -> T:
        """Do `work` in a transaction that reads."""
        return self.write(work)

    def joined(self, connection: Any) -> Session:
        """A session in the caller's transaction."""
        inner = connection if isinstance(connection, psycopg.Connection) else getattr(connection, "connection", None)
        inner = getattr(inner, "driver_connection", inner)
        if not isinstance(inner, psycopg.Connection):
            raise ConnectionRefused(
                f"connection= is a {type(connection).__module__}.{type(connection).__qualname__}, and jobs in "
                "PostgreSQL need a psycopg.Connection, directly or through SQLAlchemy (postgresql+psycopg://)."
            )
        if inner.autocommit and inner.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            raise ConnectionRefused("connection= is in autocommit mode and has no transaction open: begin one.")
        return PostgresSession(inner)

    def tell_workers(self) -> None:
        """Wake workers."""
        self._voice.tell(_WORKERS)

    def tell_waiters(self) -> None:
        """Wake those who wait for results."""
        self._voice.tell(_WAITERS)

    def place(self, session: Session, drafts: Sequence[Draft], now: float, fan: Fan | None) -> tuple[list[Placed], int]:
        """Store jobs: many at once are copied."""

        def copy(rows: list[Row]) -> None:
            hot.copy(session.connection, rows)  # type: ignore[attr-defined]

        return enqueue(session, drafts, now, fan, copy if len(drafts) >= MANY else None)

    def claim(
        self, session: Session, worker: int, wants: Sequence[Want], queues: Collection[str], most: int, now: float
    ) -> tuple[list[Claimed], bool, float | None]:
        """Claim jobs behind the watermarks."""
        return claim.claim(session, worker, wants, queues, most, now, self._marks.take)

    def settle(self, session: Session, worker: int, outcomes: Sequence[Outcome], now: float) -> list[int]:
        """Settle outcomes, many at once."""
        return hot.settle(session, worker, outcomes, now)

    def listen(self, *, ends: bool = False) -> Listener:
        """Hear of what is new."""
        return Ear(self._connect, _WAITERS if ends else _WORKERS)

    def register(self, info: WorkerInfo) -> int:
        """A worker begins, and holds its lock on this machine."""
        worker = super().register(info)
        self.presence.hold(worker)
        return worker

    def leave(self, worker: int) -> int:
        """A worker ends in good order."""
        count = super().leave(worker)
        self.presence.let_go(worker)
        return count

    def upkeep(self) -> float | None:
        """Also recovers workers of this machine whose processes have ended."""
        for worker in self.presence.gone(self.workers()):
            self.recover(worker)
            self.presence.forget(worker)
        return super().upkeep()

    @contextmanager
    def transact(self, job: int, token: int) -> Iterator[Transaction]:
        """A transaction for a task. The job's row is locked: nobody else settles it meanwhile."""
        with in_words(self.where):
            connection = psycopg.connect(self.url, application_name="plait")
        try:
            yield _Transaction(self, connection, job, token)
        finally:
            connection.close()

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._voice.close()
        self._pool.close(2.0)


class _Transaction:
    def __init__(self, store: PostgresStore, connection: psycopg.Connection[Any], job: int, token: int) -> None:
        self._store, self.connection, self._job, self._token = store, connection, job, token
        self._session = PostgresSession(connection)
        found = self._session.rows(
            f"SELECT worker FROM plait_job WHERE id = ? AND token = ? AND state = {RUNNING} FOR UPDATE", (job, token)
        )
        if not found:
            raise Stale(job)
        self._worker = found[0][0]

    def finish(self, result: bytes | None, keep: float) -> None:
        """Settle and commit."""
        outcome = Outcome(id=self._job, token=self._token, event=Event.SUCCEED, result=result, keep=keep)
        with in_words(self._store.where):
            if self._store.settle(self._session, self._worker, [outcome], self._store.now()):
                raise Stale(self._job)
            self.connection.commit()
        self._store.tell_waiters()
