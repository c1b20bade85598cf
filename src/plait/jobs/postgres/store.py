"""`PostgresStore`: jobs in PostgreSQL."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from plait.errors import QueueMoved, StoreError
from plait.jobs.postgres import hot
from plait.jobs.postgres.connect import PostgresSession, migrate
from plait.jobs.postgres.joined import joined
from plait.jobs.postgres.listen import Ear, Voice
from plait.jobs.postgres.outlast import are_under_way, claims_under_way
from plait.jobs.postgres.pool import LIGHT, ONE, READ, WRITE, Pool, Unsure
from plait.jobs.postgres.server import PATIENCE, Server
from plait.jobs.postgres.texts import check_texts
from plait.jobs.postgres.transact import transacting
from plait.jobs.presence import Presence
from plait.jobs.records import Draft, Fan, Outcome, Placed, Want, WorkerInfo
from plait.jobs.sql import claim, workers
from plait.jobs.sql.claim import Claims, Lane
from plait.jobs.sql.enqueue import enqueue
from plait.jobs.sql.session import Session
from plait.jobs.sql.store import SqlStore
from plait.jobs.store import Listener, Transaction

__all__ = ["PostgresStore"]

T = TypeVar("T")
#: Seconds for which the difference between the server's clock and this one counts as known.
CLOCK = 30.0
#: Jobs from which on they are copied instead of inserted.
MANY = 20
_WORKERS, _WAITERS = "plait_workers", "plait_waiters"


def _steady() -> float:
    """Seconds by a clock that nobody sets, and that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _folder() -> Path:
    """Where the locks of this machine's workers lie. Who may write nowhere, like many a container, may enqueue."""
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        return Path("/tmp")


class PostgresStore(SqlStore):
    """A store on a server, for processes of many machines.

    Parameters:
        url: as libpq knows it. Connections are opened when they are needed.
        clock: what tells seconds since the epoch, instead of the server's clock.
    """

    crashes_alone = True

    def __init__(self, url: str, *, clock: Callable[[], float] | None = None) -> None:
        self.url = url
        self._clock = clock
        self._server = Server(url)
        self.where = self._server.where
        self._pool = Pool(self._server)
        self._marks = hot.Watermarks()
        self._ahead, self._asked = 0.0, float("-inf")
        self._voice = Voice(self._server.connect)
        self._closed = False
        self._pid = os.getpid()
        self._lock = threading.Lock()
        #: What tells these jobs from those of other databases, and of this one's other schemas.
        try:
            self.identity = self._pool.run(WRITE, self._prepare)
        except BaseException:
            self._pool.close()
            raise
        self.presence = Presence(_folder() / f"plait-{os.getuid()}" / f"{self.identity:x}")

    def _prepare(self, connection: psycopg.Connection[Any]) -> int:
        self._look_at_clock(connection)
        return migrate(connection, self.where)

    def now(self) -> float:
        """Seconds since the epoch, by the server's clock."""
        return self._clock() if self._clock is not None else _steady() + self._ahead

    def _look_at_clock(self, connection: psycopg.Connection[Any]) -> None:
        began = _steady()
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        assert row is not None
        self._ahead, self._asked = row[0] - (began + _steady()) / 2, time.monotonic()

    def write(self, work: Callable[[Session], T], *, durable: bool = True) -> T:
        """Do `work` in a transaction that writes; several times, if the server undoes it."""
        return self._transact(WRITE if durable else LIGHT, work)

    def read(self, work: Callable[[Session], T]) -> T:
        """Do `work` in a transaction that reads."""
        return self._transact(READ, work)

    def _transact(self, begin: str, work: Callable[[Session], T]) -> T:
        if os.getpid() != self._pid:
            raise StoreError(
                f"The jobs in {self.where} were opened before this process was forked, and connections cannot be "
                "shared with its parent: open them anew here, with Jobs(...)."
            )
        if self._closed:
            raise StoreError(f"The jobs in {self.where} were closed: open them anew, with Jobs(...).")

        def working(connection: psycopg.Connection[Any]) -> T:
            if time.monotonic() - self._asked > CLOCK:
                self._look_at_clock(connection)
            return work(PostgresSession(connection))

        return self._pool.run(begin, working)

    def joined(self, connection: Any) -> Session:
        """A session in the caller's transaction."""
        return joined(connection, self.identity, self.where)

    def enqueue(
        self, drafts: Sequence[Draft], *, fan: Fan | None = None, connection: Any = None
    ) -> tuple[list[Placed], int]:
        """Store jobs, all or none. Where the connection breaks while that is committed, have a look whether it was."""
        for draft in (*drafts, *([fan.then] if fan is not None and fan.then is not None else ())):
            check_texts(draft)
        if len(drafts) == 1 and fan is None and connection is None and (placed := self._place(drafts[0])) is not None:
            self.tell_workers()
            return [placed], 0
        try:
            return super().enqueue(drafts, fan=fan, connection=connection)
        except Unsure as unsure:
            stored: tuple[list[Placed], int] = unsure.value
            fresh = [place.id for place in stored[0] if place.fresh][:1]
            if not fresh or not self._after_all(lambda: self.states(fresh)):
                raise
        self.tell_workers()
        return stored

    def _place(self, draft: Draft) -> Placed | None:
        """Store a job in one statement, if that can be done."""
        token = hot.first_token()
        try:
            return self._transact(ONE, lambda session: hot.place_plain(session, draft, self.now(), token))
        except Unsure:
            job = self._after_all(lambda: self.read(lambda session: hot.begun_with(session, token)))
            if job is None:
                raise
            return Placed(job)

    def _after_all(self, find: Callable[[], T]) -> T | None:
        """What is found where a connection broke, as soon as there is another."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return find()
            except QueueMoved:
                return None
            except StoreError:
                if time.monotonic() > until:
                    return None
                time.sleep(0.2)

    def tell_workers(self) -> None:
        """Wake workers."""
        self._voice.tell(_WORKERS)

    def tell_waiters(self) -> None:
        """Wake those who wait for results."""
        self._voice.tell(_WAITERS)

    def place(self, session: Session, drafts: Sequence[Draft], now: float, fan: Fan | None) -> tuple[list[Placed], int]:
        """Store jobs: many at once are copied."""
        if len(drafts) == 1 and fan is None and (placed := hot.place_plain(session, drafts[0], now)) is not None:
            return [placed], 0
        connection: psycopg.Connection[Any] | None = session.connection  # type: ignore[attr-defined]
        if connection is None or len(drafts) < MANY:
            return enqueue(session, drafts, now, fan)
        return enqueue(session, drafts, now, fan, lambda rows: hot.copy(connection, rows))

    def claim(
        self, session: Session, worker: int, wants: Sequence[Want], lanes: Sequence[Lane], most: int, now: float
    ) -> Claims:
        """Claim jobs behind the watermarks."""
        found, more, opens = claim.claim(session, worker, wants, lanes, most, now, self._marks.take, turns=self.turns)
        return found, more, min((wait for wait in (opens, self._marks.again()) if wait is not None), default=None)

    def settle(self, session: Session, worker: int, outcomes: Sequence[Outcome], now: float) -> list[int]:
        """Settle outcomes, many at once."""
        return hot.settle(session, worker, outcomes, now)

    def pause(self, queue: str) -> None:
        """Let nobody claim jobs of a queue; none is just being claimed when this returns."""
        super().pause(queue)
        claims = self.read(claims_under_way)
        until = time.monotonic() + PATIENCE
        while claims and time.monotonic() < until and self.read(lambda session: are_under_way(session, claims)):
            time.sleep(0.005)

    def fire(self, name: str, due: float, next_fire: float, drafts: Sequence[Draft]) -> list[Placed] | None:
        """Enqueue what a schedule submits, once."""
        for draft in drafts:
            check_texts(draft)
        return super().fire(name, due, next_fire, drafts)

    def listen(self, *, ends: bool = False) -> Listener:
        """Hear of what is new."""
        return Ear(self._server.connect, _WAITERS if ends else _WORKERS)

    def register(self, info: WorkerInfo) -> int:
        """A worker begins, and holds its lock on this machine."""
        taken: list[int] = []

        def work(session: Session) -> int:
            taken.append(workers.register(session, info, self.now()))
            self.presence.hold(taken[-1])  # before others can see it, and think that it is gone
            return taken[-1]

        try:
            worker = self.write(work)
            taken.remove(worker)
            return worker
        finally:
            for undone in taken:
                self.presence.let_go(undone)

    def leave(self, worker: int) -> int:
        """A worker ends in good order."""
        count = super().leave(worker)
        self.presence.let_go(worker)
        return count

    def upkeep(self) -> float | None:
        """Also recovers workers of this machine whose processes have ended."""
        views = self.read(lambda session: workers.workers(session, self.now(), counted=False))
        for worker in self.presence.gone(views):
            self.recover(worker)
            self.presence.forget(worker)
        return super().upkeep()

    def transact(self, job: int, token: int) -> AbstractContextManager[Transaction]:
        """A transaction for a task, on a connection of its own."""

        def settle(session: Session, worker: int, outcome: Outcome) -> bool:
            return not self.settle(session, worker, [outcome], self.now())

        return transacting(self._server, job, token, settle, lambda news: self.tell(news, ends=True))

    def close(self) -> None:
        """Let go of the connections, unless they are those of the process that this one was forked from."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._voice.close()
        self.presence.neighbours.close()
        self._pool.close()
