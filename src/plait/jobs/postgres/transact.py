"""A transaction in which a task works, and in which its job is settled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from plait.errors import Stale
from plait.jobs.postgres.connect import PostgresSession
from plait.jobs.postgres.server import Server, in_words
from plait.jobs.protocol import Event
from plait.jobs.records import Outcome
from plait.jobs.sql.schema import RUNNING
from plait.jobs.sql.session import Session
from plait.jobs.store import Broken

__all__ = ["TaskTransaction", "transacting"]

#: Settles one outcome; whether it counted: (session, worker, outcome).
Settle = Callable[[Session, int, Outcome], bool]


@contextmanager
def transacting(server: Server, job: int, token: int, settle: Settle, tell: Callable[[bool], None]) -> Iterator[Any]:
    """See `Store.transact`. settle: settles the job. tell: called when that is committed; whether jobs follow.

    The job's row is locked in the weakest way: recovery passes it over and nobody removes it, but it can be asked to
    stop, and say how far it is.
    """
    connection = server.connect(task=True)
    try:
        with contextlib.ExitStack() as leaving:
            with in_words(server.where):
                leaving.enter_context(connection.transaction(force_rollback=False))
                transaction = TaskTransaction(connection, leaving, server.where, settle, tell)
                transaction.check(job, token)
            try:
                yield transaction
            except psycopg.Error as error:
                if connection.closed:  # not the task's fault
                    raise Broken(f"{server.where} has ended the connection of the task: {error}") from error
                raise
            if not transaction.finished:
                raise psycopg.Rollback
    finally:
        connection.close()


class TaskTransaction:
    """See `store.Transaction`. The task cannot commit by itself: psycopg refuses that in a block of its own."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        leaving: contextlib.ExitStack,
        where: str,
        settle: Settle,
        tell: Callable[[bool], None],
    ) -> None:
        self.connection, self.finished = connection, False
        self._leaving, self._where, self._settle, self._tell = leaving, where, settle, tell
        self._session = PostgresSession(connection)
        self._job = self._token = self._worker = 0

    def check(self, job: int, token: int) -> None:
        """Lock the job.

        Raises:
            Stale: it is not running with this token.
        """
        sql = f"SELECT worker FROM plait_job WHERE id = ? AND token = ? AND state = {RUNNING} FOR KEY SHARE"
        found = self._session.rows(sql, (job, token))
        if not found:
            raise Stale(job)
        self._job, self._token, self._worker = job, token, found[0][0]

    def finish(self, result: bytes | None, keep: float) -> None:
        """Settle and commit.

        Raises:
            RuntimeError: the task has ended the transaction by itself, in SQL, or closed the connection: its job is
                not done.
        """
        if self.connection.closed and not self.connection.broken:  # else it would be done again every second
            raise RuntimeError("The task has closed its connection, which is not its own to close.")
        if self.connection.info.transaction_status == TransactionStatus.IDLE:
            raise RuntimeError("The task has ended its transaction (COMMIT, ROLLBACK), which is not its own to end.")
        outcome = Outcome(id=self._job, token=self._token, event=Event.SUCCEED, result=result, keep=keep)
        with in_words(self._where):
            if not self._settle(self._session, self._worker, outcome):
                raise Stale(self._job)
            self.finished = True
            self._leaving.close()  # which commits
        self._tell(self._session.news)
