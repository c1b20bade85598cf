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

from plait.jobs.sqlite.connect import PATIENCE, SqliteSession, connect, in_words

__all__ = ["Writer"]

T = TypeVar("T")


class _Round:
    """One transaction. over: it was committed, or has failed; set at once for all of its work."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


class _Work:
    __slots__ = ("call", "durable", "error", "given_up", "result", "round")

    def __init__(self, call: Callable[[Any], Any], durable: bool) -> None:
        self.call, self.durable = call, durable
        self.given_up = False
        self.result: Any = None
        self.error: Exception | None = None
        self.round: _Round | None = None

    @property
    def done(self) -> bool:
        return self.given_up or (self.round is not None and self.round.over)


class Writer:
    """Runs pieces of work in transactions of one connection.

    Parameters:
        full: whether durable work is on the disk when `write` returns, a power cut notwithstanding.
        patience: seconds to wait for other processes that write.

    Concurrency: safe from any thread. A Ctrl-C is raised where it hits, whoever's work is done there: nothing of that
    transaction has happened then, and the others do theirs themselves.
    """

    def __init__(self, path: str, *, full: bool = True, patience: float = PATIENCE) -> None:
        self.path = path
        self._full, self._patience = full, patience
        self.connection = connect(path, patience)
        self._session = SqliteSession(self.connection)
        self._waiting: deque[_Work] = deque()
        self._lock = threading.Lock()
        self._syncs = True  # what the connection does now

    def write(self, call: Callable[[SqliteSession], T], *, durable: bool = True) -> T:
        """Do it in a transaction, with what others want done; what it returned, once that is committed."""
        work = _Work(call, durable)
        self._waiting.append(work)
        try:
            with self._lock:
                if not work.done:
                    self._carry_out()
        except BaseException:
            work.given_up = True  # nobody is to do it behind the caller's back
            raise
        if work.error is not None:
            raise work.error
        result: T = work.result
        return result

    def _carry_out(self) -> None:
        """Do all that waits. It stays in the queue until it is done, so that no interrupt can lose any."""
        waiting = self._waiting
        group = [work for work in list(waiting) if not work.done]
        round_ = _Round()
        for work in group:
            work.round, work.error = round_, None
        try:
            with in_words(self.path, self._patience):
                self._commit(group, round_)
        except Exception as error:
            for work in group:  # one that has failed by itself keeps its own error
                work.error = work.error or error
            round_.over = True
        while waiting and waiting[0].done:
            waiting.popleft()

    def _commit(self, group: list[_Work], round_: _Round) -> None:
        connection, execute = self.connection, self.connection.execute
        syncs = self._full and any(work.durable for work in group)
        if syncs is not self._syncs:
            execute(f"PRAGMA synchronous = {'FULL' if syncs else 'NORMAL'}")
            self._syncs = syncs
        begun = False
        try:
            execute("BEGIN IMMEDIATE")
            begun = True
            if len(group) == 1:
                group[0].result = group[0].call(self._session)
            else:
                for work in group:
                    self._apart(work)
            execute("COMMIT")
            round_.over = True
        except BaseException as error:
            if connection.in_transaction:
                execute("ROLLBACK")
            elif begun and not isinstance(error, Exception):  # a Ctrl-C just after the commit
                round_.over = True
            raise

    def _apart(self, work: _Work) -> None:
        """One piece among others: if it fails, only what it did is undone."""
        execute = self.connection.execute
        execute("SAVEPOINT piece")
        try:
            work.result = work.call(self._session)
        except (apsw.FullError, apsw.IOError, apsw.CorruptError):
            raise  # the transaction as a whole is lost
        except Exception as error:
            if not self.connection.in_transaction:
                raise
            work.error = error
            execute("ROLLBACK TO piece")
        execute("RELEASE piece")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self.connection.close()
