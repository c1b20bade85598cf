"""`Writer`: the one connection of this process that writes. Who finds it busy leaves its work to who has it.

That is group commit: while one transaction waits for the disk, the work of other threads gathers, and the next
transaction has all of it. Source: flat combining, Hendler, Incze, Shavit, Tzafrir (SPAA 2010).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import apsw

from plait.errors import StoreError
from plait.jobs.sqlite.connect import SqliteSession, connect, in_words

__all__ = ["Writer"]

T = TypeVar("T")


class _Work:
    __slots__ = ("call", "done", "durable", "error", "result")

    def __init__(self, call: Callable[[Any], Any], durable: bool) -> None:
        self.call, self.durable = call, durable
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """Runs pieces of work in transactions of one connection.

    Parameters:
        full: whether durable work is on the disk when `write` returns, a power cut notwithstanding.

    Concurrency: safe from any thread.
    """

    def __init__(self, path: str, *, full: bool = True) -> None:
        self.path = path
        self._full = full
        self.connection = connect(path)
        self._session = SqliteSession(self.connection)
        self._waiting: deque[_Work] = deque()
        self._lock = threading.Lock()
        self._syncs = True  # what the connection does now

    def write(self, call: Callable[[SqliteSession], T], *, durable: bool = True) -> T:
        """Do it in a transaction, with what others want done; what it returned, once that is committed."""
        work = _Work(call, durable)
        self._waiting.append(work)
        with self._lock:
            if not work.done:
                self._carry_out()
        if work.error is not None:
            raise work.error
        result: T = work.result
        return result

    def _carry_out(self) -> None:
        waiting = self._waiting
        group = [waiting.popleft() for _ in range(len(waiting))]
        try:
            with in_words(self.path):
                self._commit(group)
        except BaseException as error:
            said = error if isinstance(error, Exception) else StoreError("The transaction was interrupted: undone.")
            for work in group:  # one that has failed by itself keeps its own error
                work.error = work.error or said
            if said is not error:
                raise
        finally:
            for work in group:
                work.done = True

    def _commit(self, group: list[_Work]) -> None:
        connection, execute = self.connection, self.connection.execute
        syncs = self._full and any(work.durable for work in group)
        if syncs is not self._syncs:
            execute(f"PRAGMA synchronous = {'FULL' if syncs else 'NORMAL'}")
            self._syncs = syncs
        execute("BEGIN IMMEDIATE")
        try:
            if len(group) == 1:
                group[0].result = group[0].call(self._session)
            else:
                for work in group:
                    self._apart(work)
            execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                execute("ROLLBACK")
            raise

    def _apart(self, work: _Work) -> None:
        """One piece among others: if it fails, only what it did is undone."""
        execute = self.connection.execute
        execute("SAVEPOINT piece")
        try:
            work.result = work.call(self._session)
            execute("RELEASE piece")
        except (apsw.FullError, apsw.IOError, apsw.CorruptError):
            raise  # the transaction as a whole is lost
        except BaseException as error:
            work.error = error
            if not self.connection.in_transaction:
                raise
            execute("ROLLBACK TO piece")
            execute("RELEASE piece")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self.connection.close()
