"""`SqlStore`: a store whose work is done in SQL. What is left to each database: transactions, and waking others."""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from plait.jobs.protocol import Event, State
from plait.jobs.records import (
    Claimed,
    Draft,
    Ended,
    Fan,
    Filter,
    Note,
    Outcome,
    Placed,
    QueueView,
    ScheduleView,
    Snapshot,
    Turn,
    Want,
    WorkerInfo,
    WorkerView,
)
from plait.jobs.sql import claim, enqueue, schedules, settle, upkeep, views, workers
from plait.jobs.sql.session import Session
from plait.jobs.store import Store

__all__ = ["SqlStore"]

T = TypeVar("T")
#: Events after which another worker may want the job.
_BACK = frozenset({Event.RELEASE, Event.RETRY, Event.SNOOZE})


class SqlStore(Store):
    """See `Store` for what each method does."""

    # --- what each database does in its own way ---------------------------------------------------------------------

    @abc.abstractmethod
    def write(self, work: Callable[[Session], T], *, durable: bool = True) -> T:
        """Do `work` in a transaction that writes; not `durable`: the power may take it, a crash may not."""

    @abc.abstractmethod
    def read(self, work: Callable[[Session], T]) -> T:
        """Do `work` in a transaction that only reads, and sees one state of things."""

    @abc.abstractmethod
    def joined(self, connection: Any) -> Session:
        """A session in the open transaction of the caller's connection."""

    def tell_workers(self) -> None:
        """Jobs may have become claimable, or some are to be stopped."""

    def tell_waiters(self) -> None:
        """Jobs have ended."""

    def settle(self, session: Session, worker: int, outcomes: Sequence[Outcome], now: float) -> list[int]:
        """Settle outcomes; the positions of those that were refused."""
        return settle.settle(session, outcomes, now)

    def claim(
        self, session: Session, worker: int, wants: Sequence[Want], queues: Collection[str], most: int, now: float
    ) -> tuple[list[Claimed], bool, float | None]:
        """Claim jobs; them, whether there may be more, and seconds until a gate opens."""
        return claim.claim(session, worker, wants, queues, most, now)

    def place(self, session: Session, drafts: Sequence[Draft], now: float, fan: Fan | None) -> tuple[list[Placed], int]:
        """Store jobs."""
        return enqueue.enqueue(session, drafts, now, fan)

    #: What people know it by.
    where: str

    def close_for(self, destination: str | None) -> None:
        """Let nobody enqueue or claim here any more, since the queue moves to `destination`; `None`: it does not."""

        def work(session: Session) -> None:
            session.run("DELETE FROM plait_moved")
            if destination is not None:
                session.run("INSERT INTO plait_moved (destination) VALUES (?)", (destination,))

        self.write(work)

    # --- clients ----------------------------------------------------------------------------------------------------

    def enqueue(
        self, drafts: Sequence[Draft], *, fan: Fan | None = None, connection: Any = None
    ) -> tuple[list[Placed], int]:
        """Store jobs, all or none."""
        if connection is not None:
            return self.place(self.joined(connection), drafts, self.now(), fan)
        placed = self.write(lambda session: self.place(session, drafts, self.now(), fan))
        self.tell_workers()
        return placed

    def ended(self, ids: Collection[int]) -> list[Ended]:
        """Those that have ended."""
        return self.read(lambda session: views.ended(session, ids)) if ids else []

    def states(self, ids: Collection[int]) -> dict[int, State]:
        """The state of each that is known."""
        return self.read(lambda session: views.states(session, ids)) if ids else {}

    def show(self, job: int) -> Snapshot | None:
        """All that is known of a job."""
        return self.read(lambda session: views.show(session, job))

    def find(self, which: Filter) -> list[Snapshot]:
        """Jobs, the newest first."""
        return self.read(lambda session: views.find(session, which))

    def cancel(self, ids: Collection[int]) -> dict[int, State]:
        """Cancel jobs."""
        states = self.write(lambda session: views.cancel(session, ids, self.now())) if ids else {}
        self.tell_workers()
        self.tell_waiters()
        return states

    def redo(self, ids: Collection[int]) -> list[int]:
        """Have jobs run again."""
        again = self.write(lambda session: views.redo(session, ids, self.now())) if ids else []
        self.tell_workers()
        return again

    def pause(self, queue: str) -> None:
        """Let nobody claim jobs of a queue."""
        sql = "INSERT INTO plait_paused (queue) VALUES (?) ON CONFLICT DO NOTHING"
        self.write(lambda session: session.run(sql, (queue,)))

    def resume(self, queue: str) -> None:
        """The opposite."""
        self.write(lambda session: session.run("DELETE FROM plait_paused WHERE queue = ?", (queue,)))
        self.tell_workers()

    def queues(self) -> list[QueueView]:
        """How many jobs there are."""
        return self.read(lambda session: views.queues(session, self.now()))

    def group(self, group: int) -> tuple[int, int] | None:
        """How many parts a group has, and how many have not ended."""
        rows = self.read(lambda session: session.rows("SELECT total, open FROM plait_grp WHERE id = ?", (group,)))
        return (rows[0][0], max(0, rows[0][1])) if rows else None

    # --- workers ----------------------------------------------------------------------------------------------------

    def register(self, info: WorkerInfo) -> int:
        """A worker begins."""
        return self.write(lambda session: workers.register(session, info, self.now()))

    def beat(self, worker: int) -> bool:
        """Renew a lease."""
        return self.write(lambda session: workers.beat(session, worker, self.now()), durable=False)

    def turn(
        self,
        worker: int,
        outcomes: Sequence[Outcome] = (),
        wants: Sequence[Want] = (),
        *,
        queues: Collection[str] = (),
        most: int = 1_000_000,
    ) -> Turn:
        """Settle and claim."""

        def work(session: Session) -> Turn:
            now = self.now()
            refused = self.settle(session, worker, outcomes, now) if outcomes else []
            claim.make_due(session, now)
            found: list[Claimed] = []
            more, opens = False, None
            if wants and workers.is_leased(session, worker, now):
                found, more, opens = self.claim(session, worker, wants, queues, most, now)
            due = claim.next_due(session, now)
            soonest = min((wait for wait in (due, opens) if wait is not None), default=None)
            return Turn(tuple(refused), tuple(found), soonest, more)

        turn = self.write(work, durable=bool(outcomes))
        if outcomes:
            self.tell_waiters()
            if any(outcome.event in _BACK for outcome in outcomes):
                self.tell_workers()
        return turn

    def begin(self, job: int, token: int) -> bool:
        """A suspect begins."""
        return self.write(lambda session: workers.begin(session, job, token))

    def note(self, notes: Sequence[Note]) -> None:
        """Remember how far jobs are."""
        if notes:
            self.write(lambda session: workers.note(session, notes), durable=False)

    def unwanted(self, worker: int) -> list[tuple[int, int]]:
        """Running jobs that were cancelled."""
        return self.read(lambda session: workers.unwanted(session, worker))

    def leave(self, worker: int) -> int:
        """A worker ends."""
        count = self.write(lambda session: workers.leave(session, worker, self.now()))
        self.tell_workers()
        return count

    def recover(self, worker: int) -> int:
        """A worker is dead."""
        count = self.write(lambda session: workers.recover(session, worker, self.now()))
        self.tell_workers()
        self.tell_waiters()
        return count

    def workers(self) -> list[WorkerView]:
        """All that are registered."""
        return self.read(lambda session: workers.workers(session, self.now()))

    # --- upkeep -----------------------------------------------------------------------------------------------------

    def upkeep(self) -> float | None:
        """A bounded piece of upkeep."""
        return self.write(lambda session: upkeep.upkeep(session, self.now()))

    def schedules(self) -> list[ScheduleView]:
        """All schedules."""
        return self.read(schedules.schedules)

    def put_schedule(self, name: str, task: str, definition: bytes, next_fire: float) -> ScheduleView:
        """Declare a schedule."""
        return self.write(lambda session: schedules.put(session, name, task, definition, next_fire, self.now()))

    def drop_schedule(self, name: str) -> bool:
        """Forget one."""
        return self.write(lambda session: schedules.drop(session, name))

    def fire(self, name: str, due: float, next_fire: float, drafts: Sequence[Draft]) -> list[Placed] | None:
        """Enqueue what a schedule submits, once."""
        placed = self.write(lambda session: schedules.fire(session, name, due, next_fire, drafts, self.now()))
        if placed:
            self.tell_workers()
        return placed
