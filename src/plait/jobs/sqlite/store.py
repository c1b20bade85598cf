"""`SqliteStore`: jobs in a SQLite file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw

from plait.errors import ConnectionRefused, Stale, StoreError
from plait.jobs.presence import Presence
from plait.jobs.protocol import Event
from plait.jobs.records import Outcome, WorkerInfo
from plait.jobs.sql.schema import RUNNING
from plait.jobs.sql.session import Session
from plait.jobs.sql.store import SqlStore
from plait.jobs.sqlite.connect import PATIENCE, SqliteSession, connect, in_words, migrate
from plait.jobs.sqlite.wake import WAITERS, WORKERS, Ear, Voice
from plait.jobs.sqlite.writer import Writer
from plait.jobs.store import Listener, Transaction

__all__ = ["SqliteStore"]

T = TypeVar("T")


class SqliteStore(SqlStore):
    """A store in one file, for processes of one machine.

    Parameters:
        path: the file; made if it is not there. Beside it a folder, PATH-plait, of its users' locks and sockets.
        full: whether what was enqueued or settled survives a power cut (a crash of any process it always does).
        clock: what tells seconds since the epoch. patience: seconds to wait for other processes that write.
    """

    tells_early = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        full: bool = True,
        clock: Callable[[], float] = time.time,
        patience: float = PATIENCE,
    ) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self.url = f"sqlite:///{self.path}"
        self.where = self.path
        self._clock = clock
        self._pid = os.getpid()
        self._patience = patience
        self._closed = False
        self._writer = Writer(self.path, full=full, patience=patience)
        try:
            migrate(self._writer.connection, self.path, patience)
            self._reader = connect(self.path, patience)
        except BaseException:
            self._writer.close()
            raise
        self._file = _identity(self.path)
        self._reading = threading.Lock()
        folder = Path(self.path + "-plait")
        self.presence = Presence(folder)
        self._folder = folder
        self._voice = Voice(folder)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    def write(self, work: Callable[[Session], T], *, durable: bool = True) -> T:
        """Do `work` in a transaction that writes."""
        self._check()
        return self._writer.write(work, durable=durable)

    def read(self, work: Callable[[Session], T]) -> T:
        """Do `work` in a transaction that reads."""
        self._check()
        with self._reading, in_words(self.path, self._patience):
            execute = self._reader.execute
            try:
                execute("BEGIN")
                return work(SqliteSession(self._reader))
            finally:
                if self._reader.in_transaction:  # a broken disk has ended it already
                    execute("ROLLBACK")

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise StoreError(
                f"The jobs in {self.path} were opened before this process was forked, and SQLite's connections do not "
                "survive that: open them anew here, with Jobs(...)."
            )
        if self._closed:
            raise StoreError(f"The jobs in {self.path} were closed: open them anew, with Jobs(...).")
        if _identity(self.path) != self._file:
            raise StoreError(
                f"{self.path} was deleted or replaced while it was in use here: nobody would find what is stored in "
                "it now. End this process, and start it again with the file that is to be used."
            )

    def joined(self, connection: Any) -> Session:
        """A session in the caller's transaction."""
        inner = getattr(connection, "connection", connection)  # SQLAlchemy's Connection, or its Session's
        inner = getattr(inner, "driver_connection", inner)
        if not isinstance(inner, apsw.Connection):
            raise ConnectionRefused(
                f"connection= is of {type(inner).__module__}, and jobs in SQLite need one of apsw: a second SQLite "
                "library on one file can lose what the other has written. Open it with apsw.Connection(path)."
            )
        if not all(map(os.path.exists, (inner.filename, self.path))) or not os.path.samefile(inner.filename, self.path):
            raise ConnectionRefused(f"connection= is to {inner.filename!r}, and the jobs are in {self.path!r}.")
        if not inner.in_transaction:
            raise ConnectionRefused("connection= has no transaction open: begin one, enqueue, and commit it.")
        return SqliteSession(inner, joined=True)

    def tell_workers(self) -> None:
        """Wake workers."""
        self._voice.tell(WORKERS)

    def tell_waiters(self) -> None:
        """Wake those who wait for results."""
        self._voice.tell(WAITERS)

    def listen(self, *, ends: bool = False) -> Listener:
        """Hear of what is new."""
        self._check()
        connection = connect(self.path, self._patience)

        def version() -> int:
            found: int = connection.pragma("data_version")
            return found

        return Ear(self._folder, WAITERS if ends else WORKERS, version, connection.close)

    def register(self, info: WorkerInfo) -> int:
        """A worker begins, and holds its lock."""
        worker = super().register(info)
        self.presence.hold(worker)
        return worker

    def leave(self, worker: int) -> int:
        """A worker ends in good order."""
        count = super().leave(worker)
        self.presence.let_go(worker)
        return count

    def upkeep(self) -> float | None:
        """Also recovers workers whose processes have ended."""
        for worker in self.presence.gone(self.workers()):
            self.recover(worker)
            self.presence.forget(worker)
        return super().upkeep()

    @contextmanager
    def transact(self, job: int, token: int) -> Iterator[Transaction]:
        """A transaction for a task, on a connection of its own: it holds the file's only writer."""
        self._check()
        connection = connect(self.path, self._patience)
        try:
            with in_words(self.path, self._patience):
                connection.execute("BEGIN IMMEDIATE")
            yield _Transaction(self, connection, job, token)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        self._voice.close()
        self.presence.neighbours.close()
        with self._reading:
            self._reader.close()
        self._writer.close()


def _identity(path: str) -> tuple[int, int] | None:
    """What tells a file from another of its name."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class _Transaction:
    def __init__(self, store: SqliteStore, connection: apsw.Connection, job: int, token: int) -> None:
        self._store, self.connection, self._job, self._token = store, connection, job, token
        found = connection.execute(
            f"SELECT worker FROM plait_job WHERE id = ? AND token = ? AND state = {RUNNING}", (job, token)
        ).fetchall()
        if not found:
            raise Stale(job)
        self._worker: Any = found[0][0]

    def finish(self, result: bytes | None, keep: float) -> None:
        """Settle and commit.

        Raises:
            RuntimeError: the task has ended the transaction by itself, in SQL: its job is not done.
        """
        if not self.connection.in_transaction:
            raise RuntimeError("The task has ended its transaction (COMMIT, ROLLBACK), which is not its own to end.")
        outcome = Outcome(id=self._job, token=self._token, event=Event.SUCCEED, result=result, keep=keep)
        with in_words(self._store.path):
            session = SqliteSession(self.connection)
            if self._store.settle(session, self._worker, [outcome], self._store.now()):
                raise Stale(self._job)
            self.connection.execute("COMMIT")
        self._store.tell(session.news, ends=True)
