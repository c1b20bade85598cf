"""`SqlStore`: a store whose work is done in SQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property, partial
from typing import Any, TypeVar

from plait.errors import QueueMoved
from plait.jobs.losses import Loss, log_losses
from plait.jobs.protocol import State
from plait.jobs.records import (
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
from plait.jobs.sql import moving, schedules, upkeep, views, workers
from plait.jobs.sql import turn as turning
from plait.jobs.sql.claim import Claims, Lane
from plait.jobs.sql.database import Database
from plait.jobs.sql.session import Session
from plait.jobs.sql.sweep import Sweep
from plait.jobs.sql.upkeep import Outage

__all__ = ["SqlStore"]

T = TypeVar("T")
#: What a number in a table can be.
NUMBERED = range(2**63)


class SqlStore(Database):
    """See `Store` for what each method does."""

    def moved(self) -> str | None:
        """Where the queue has moved to, for good."""
        why = self.read(moving.closed)
        return why.to if why is not None and why.source is None and why.mover is None else None

    def change(self, work: Callable[[Session], T]) -> T:
        """Do `work` for a client; where the queue is being moved, once more if its mover turns out to be gone."""
        try:
            return self.write(work)
        except QueueMoved as error:
            if error.done:
                raise
        self.upkeep()
        return self.write(work)

    def _told(self) -> None:
        """Nothing is known of a job that somebody asks for: it may be elsewhere."""
        to = self.moved()
        if to is not None:
            raise QueueMoved(to, done=True)

    # --- clients ----------------------------------------------------------------------------------------------------

    def enqueue(
        self, drafts: Sequence[Draft], *, fan: Fan | None = None, connection: Any = None
    ) -> tuple[list[Placed], int]:
        """Store jobs, all or none."""
        if connection is not None:
            return self.place(self.joined(connection), drafts, self.now(), fan)

        def work(session: Session) -> tuple[list[Placed], int]:
            placed = self.place(session, drafts, self.now(), fan)
            if self.tells_early:
                self.tell_workers()
            return placed

        placed = self.change(work)
        if not self.tells_early:
            self.tell_workers()
        return placed

    def ended(self, ids: Collection[int]) -> list[Ended]:
        """Those that have ended."""
        return self.read(lambda session: views.ended(session, ids)) if ids else []

    def states(self, ids: Collection[int]) -> dict[int, State]:
        """The state of each that is known."""
        found = self.read(lambda session: views.states(session, ids)) if ids else {}
        if ids and not found:
            self._told()
        return found

    def show(self, job: int) -> Snapshot | None:
        """All that is known of a job."""
        found = self.read(lambda session: views.show(session, job)) if job in NUMBERED else None
        if found is None:
            self._told()
        return found

    def find(self, which: Filter) -> list[Snapshot]:
        """Jobs, the newest first."""
        return self.read(lambda session: views.find(session, which))

    def cancel(self, ids: Collection[int]) -> dict[int, State]:
        """Cancel jobs."""
        states = self.change(lambda session: views.cancel(session, ids, self.now())) if ids else {}
        self.tell_workers()
        self.tell_waiters()
        return states

    def redo(self, ids: Collection[int]) -> list[int]:
        """Have jobs run again."""
        again = self.change(lambda session: views.redo(session, ids, self.now())) if ids else []
        self.tell_workers()
        return again

    def pause(self, queue: str) -> None:
        """Let nobody claim jobs of a queue."""
        self.change(lambda session: views.pause(session, queue))

    def resume(self, queue: str) -> None:
        """The opposite."""
        self.change(lambda session: views.resume(session, queue))
        self.tell_workers()

    def paused(self) -> set[str]:
        """Queues that are paused."""
        return self.read(views.paused)

    def queues(self) -> list[QueueView]:
        """How many jobs there are."""
        return self.read(lambda session: views.queues(session, self.now()))

    def group(self, group: int) -> tuple[int, int] | None:
        """How many parts a group has, and how many have not ended."""
        sql = "SELECT total, open FROM plait_grp WHERE id = ?"
        rows = self.read(lambda session: session.rows(sql, (group,))) if group in NUMBERED else []
        if not rows:
            self._told()
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

        def work(session: Session) -> tuple[Turn, bool]:
            now = self.now()
            session.news = False

            def claim(wants: Sequence[Want], lanes: Sequence[Lane], most: int) -> Claims:
                return self.claim(session, worker, wants, lanes, most, now)

            settle = partial(self.settle, session, worker, outcomes, now) if outcomes else None
            return turning.turn(session, worker, wants, queues, most, now, settle, claim), session.news

        turn, news = self.write(work, durable=bool(outcomes) or self.crashes_alone)
        self.tell(news, ends=bool(outcomes))
        return turn

    def begin(self, job: int, token: int) -> bool:
        """A suspect begins."""
        return self.write(lambda session: workers.begin(session, job, token))

    def note(self, notes: Sequence[Note]) -> None:
        """Remember how far jobs are."""
        if notes:
            self.write(lambda session: workers.note(session, notes), durable=False)

    def running(self, worker: int) -> list[tuple[int, int]]:
        """Jobs that it runs."""
        return self.read(lambda session: workers.running(session, worker))

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
        loss = self.write(lambda session: workers.recover(session, worker, self.now()))
        log_losses([loss])
        self.tell_workers()
        self.tell_waiters()
        return loss.count

    def workers(self) -> list[WorkerView]:
        """All that are registered."""
        return self.read(lambda session: workers.workers(session, self.now()))

    # --- upkeep -----------------------------------------------------------------------------------------------------

    def upkeep(self) -> float | None:
        """A bounded piece of upkeep."""

        def work(session: Session) -> tuple[float | None, list[Loss], bool, bool]:
            session.news = session.ends = False
            soon, losses = upkeep.upkeep(session, self.now(), self.sweep, self.outage)
            return soon, losses, session.news, session.ends

        soon, losses, news, ends = self.write(work)
        log_losses(losses)
        self.outage.tended()
        self.tell(news, ends=ends)
        return soon

    def linger(self, seconds: float, wake: int) -> bool:
        """Hear of the ends of neighbours."""
        return self.presence.neighbours.wait(seconds, wake)

    @cached_property
    def sweep(self) -> Sweep:
        """How far upkeep has come."""
        return Sweep()

    @cached_property
    def outage(self) -> Outage:
        """Whether the store could not be reached until just now."""
        return Outage()

    def schedules(self) -> list[ScheduleView]:
        """All schedules."""
        return self.read(schedules.schedules)

    def put_schedule(self, name: str, task: str, definition: bytes, next_fire: float) -> ScheduleView:
        """Declare a schedule."""
        return self.write(lambda session: schedules.put(session, name, task, definition, next_fire, self.now()))

    def drop_schedule(self, name: str) -> bool:
        """Forget one."""
        return self.change(lambda session: schedules.drop(session, name))

    def fire(self, name: str, due: float, next_fire: float, drafts: Sequence[Draft]) -> list[Placed] | None:
        """Enqueue what a schedule submits, once."""
        placed = self.write(lambda session: schedules.fire(session, name, due, next_fire, drafts, self.now()))
        if placed:
            self.tell_workers()
        return placed
