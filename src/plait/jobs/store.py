"""`Store`: what every place where jobs live has to do. One contract suite holds for all of them.

Every method is one transaction: it happens as a whole or not at all, and has happened for good when it returns (as far
as the store's durability goes). Times are those of the store's clock. What is said here of a lane holds for the jobs of
one task in one queue with one priority: they come in the order of their virtual times (`Fairness` below), then ids.

Fairness: start-time fair queueing (Goyal, Vin, Cheng, 1996). A lane has a virtual time, that of the job claimed last; a
job with a key gets the later of that and the key's own, plus one; a job without a key gets the lane's. So keys take
turns, however many jobs one of them has enqueued. Lanes of one priority take turns as well, those first that have
waited longest for theirs: no task or queue can starve another, however few places a worker has.

Gates: a rule of a task (`Rule`) has one gate, or one for each key. A claim takes a job only if all its gates let it
through; one that a gate stops is *held* there, out of the way of the others, and comes back to its place when the gate
has room: when a job of a limit's gate leaves the state running, or when a rate's time has come. Limits count running
jobs, so no crash can leak one. Rates go by the generic cell rate algorithm (`plait.policy.rate`). A held job is in
state waiting for everybody outside of the store.
"""

from __future__ import annotations

import abc
import select
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from plait.errors import StoreError
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

__all__ = ["Broken", "Listener", "Store", "Transaction"]


class Listener(Protocol):
    """Wakes who waits for jobs (or for ends of jobs) of one store."""

    def wait(self, timeout: float) -> bool:
        """Wait until something may be new, `timeout` seconds at most; false: nothing was heard. One thread waits.

        Waking for nothing is allowed; sleeping through an enqueue that was committed longer ago than 0.1 s
        (PostgreSQL: 1 s, where a notification was lost) is not.
        """
        ...

    def wake(self) -> None:
        """End a `wait` now, or the next one. From any thread."""
        ...

    def close(self) -> None:
        """Listen no more."""
        ...


class Broken(StoreError):
    """The connection that a task works with was ended by the server: what the task did is undone."""


class Transaction(Protocol):
    """A transaction of the store in which a job's task does its work."""

    @property
    def connection(self) -> Any:
        """The driver's own connection, for the task."""
        ...

    def finish(self, result: bytes | None, keep: float) -> None:
        """Settle the job as done and commit, the task's work with it."""
        ...


class Store(abc.ABC):
    """Where jobs live.

    Concurrency: safe from any thread; not to be used in a forked child.

    Raises:
        StoreError: the store cannot be used; the message says why, and what to do. StoreBusy: it was locked too long.
    """

    url: str

    @abc.abstractmethod
    def now(self) -> float:
        """Seconds since the epoch, by the store's clock (as known here; need not ask it each time)."""

    def moved(self) -> str | None:
        """Where the queue has moved to for good (`plait.jobs.move`); `None`: it is here."""
        return None

    # --- clients ----------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def enqueue(
        self, drafts: Sequence[Draft], *, fan: Fan | None = None, connection: Any = None
    ) -> tuple[list[Placed], int]:
        """Store jobs, all or none; where each went, and the id of the group that `fan` makes of them (else 0).

        A draft whose time has come is waiting at once. One with a `unique` that a live job of its task has (or one
        that ended less than its `keep_unique` ago) is not stored: that job stands for it. Within one call, too. Parts
        of a group, and the links of a chain that is one, are stored whatever their `unique` says. A `fan` of no parts
        enqueues its `then` at once.

        Parameters:
            connection: the caller's: the jobs are part of its open transaction, and nobody is notified. It must be of
                the store's own driver (directly or through SQLAlchemy).

        Raises:
            ConnectionRefused: `connection` is none that can be used here; the message says which can.
        """

    @abc.abstractmethod
    def ended(self, ids: Collection[int]) -> list[Ended]:
        """Those of `ids` that have ended and are still known."""

    @abc.abstractmethod
    def states(self, ids: Collection[int]) -> dict[int, State]:
        """The state of each that is known."""

    @abc.abstractmethod
    def show(self, job: int) -> Snapshot | None:
        """All that is known of a job; `None`: it is not known (any more)."""

    @abc.abstractmethod
    def find(self, which: Filter) -> list[Snapshot]:
        """Jobs, the newest first, without arguments and results. A short transaction however many there are."""

    @abc.abstractmethod
    def cancel(self, ids: Collection[int]) -> dict[int, State]:
        """Cancel jobs; the state of each that is known, after. One that is running stays so until its worker stops it.

        Cancelling is ending: what is said of `settle` about groups, unique keys and schedules holds.
        """

    @abc.abstractmethod
    def redo(self, ids: Collection[int]) -> list[int]:
        """Have failed or cancelled jobs run again, attempts and crashes counted anew, in their place; which of them.

        One whose `unique` another live job has by now stays as it is. A part of a group whose `then` was enqueued
        already runs as a job of its own. Parts are kept as long as that `then` may be run again.
        """

    @abc.abstractmethod
    def pause(self, queue: str) -> None:
        """Let nobody claim jobs of `queue`. Those that run go on."""

    @abc.abstractmethod
    def resume(self, queue: str) -> None:
        """The opposite."""

    def paused(self) -> set[str]:
        """Queues of which nobody may claim jobs."""
        return {view.queue for view in self.queues() if view.paused}

    @abc.abstractmethod
    def queues(self) -> list[QueueView]:
        """How many jobs there are of each task in each queue, by state; ended ones as far as they are kept."""

    @abc.abstractmethod
    def group(self, group: int) -> tuple[int, int] | None:
        """How many parts a group has, and how many have not ended; `None`: it is not known."""

    # --- workers ----------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def register(self, info: WorkerInfo) -> int:
        """A worker begins, with a lease of `protocol.LEASE` seconds; its id, which no other ever has."""

    @abc.abstractmethod
    def beat(self, worker: int) -> bool:
        """Renew a worker's lease; false: it has none any more, and its jobs are others'."""

    @abc.abstractmethod
    def turn(
        self,
        worker: int,
        outcomes: Sequence[Outcome] = (),
        wants: Sequence[Want] = (),
        *,
        queues: Collection[str] = (),
        most: int = 1_000_000,
    ) -> Turn:
        """Settle what was done and claim what comes next, in one transaction.

        Settling: an outcome counts only if `worker` runs its job, with its token; else it is refused, and changes
        nothing. One that ends the job stores what it came to, frees its unique key (or keeps it for `keep_unique`
        seconds), counts its group down, enqueues what the group or chain goes on with (a chain goes on only after
        `SUCCEED`; the parts of a group that failed are told as such), gives up its gates.

        Claiming: jobs whose time has come are waiting first. Of each wanted task up to `count`, higher priorities
        first, of `queues` (empty: of all) that are not paused, as far as its rules allow; of all together at most
        `most`. Each gets a token above all it had, and is an attempt. Where many jobs are stopped by gates, a turn
        looks at some of them only, and says that there may be `more`.

        A worker whose lease has run out or who is not known claims nothing.
        """

    @abc.abstractmethod
    def transact(self, job: int, token: int) -> AbstractContextManager[Transaction]:
        """A transaction for a task that works in the store: open when entered, the fence checked.

        Leaving without `finish`, or with an exception, rolls back. SQLite has one writer: others wait meanwhile.

        Raises:
            Stale: the job is not running with this token (on entering).
        """

    @abc.abstractmethod
    def begin(self, job: int, token: int) -> bool:
        """A job that has lost a worker before is about to run; false: it is not the worker's any more."""

    @abc.abstractmethod
    def note(self, notes: Sequence[Note]) -> None:
        """Remember how far running jobs are; of those whose token is the last."""

    @abc.abstractmethod
    def running(self, worker: int) -> list[tuple[int, int]]:
        """Jobs that `worker` runs, as far as the store knows: (id, token)."""

    @abc.abstractmethod
    def unwanted(self, worker: int) -> list[tuple[int, int]]:
        """Jobs that `worker` runs and that were cancelled: (id, token)."""

    @abc.abstractmethod
    def leave(self, worker: int) -> int:
        """A worker ends in good order: what it still has is handed back (`RELEASE`); how many that were."""

    @abc.abstractmethod
    def recover(self, worker: int) -> int:
        """A worker is known to be dead: its jobs crash (`after_crash`; an unwanted one is stopped); how many.

        From then on they are claimed only by those who want such jobs (`Want.alone`).
        """

    @abc.abstractmethod
    def workers(self) -> list[WorkerView]:
        """All that are registered."""

    @abc.abstractmethod
    def listen(self, *, ends: bool = False) -> Listener:
        """Hear of jobs that become claimable or are cancelled; with `ends`, of jobs that end. From all processes."""

    # --- upkeep -----------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def upkeep(self) -> float | None:
        """Recover workers whose lease has run out, open gates, forget what is kept no longer; a bounded piece of it.

        Every worker calls it every second or so. Returns seconds until it is worth calling again; `None`: no hurry.
        """

    def linger(self, seconds: float, wake: int) -> bool:
        """Wait until the descriptor `wake` can be read; true, and at once, if another worker of this machine has died.

        Workers that `upkeep` has seen are watched.
        """
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
        return False

    @abc.abstractmethod
    def schedules(self) -> list[ScheduleView]:
        """All that are stored."""

    @abc.abstractmethod
    def put_schedule(self, name: str, task: str, definition: bytes, next_fire: float) -> ScheduleView:
        """Declare a schedule. `next_fire` counts if it is new or its definition has changed; `seen` is now.

        Of a schedule that has fired since `next_fire`, the next time stays as it is: no time is fired twice.
        """

    @abc.abstractmethod
    def drop_schedule(self, name: str) -> bool:
        """Forget one."""

    @abc.abstractmethod
    def fire(self, name: str, due: float, next_fire: float, drafts: Sequence[Draft]) -> list[Placed] | None:
        """Enqueue what a schedule submits, if its next time still is `due`, and set the next; else `None`.

        So each time is fired once, whoever is first.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of it. Safe to call twice."""
