"""`Database`: what a store in SQL leaves to each database: its transactions, waking others, what goes faster there."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from plait.jobs.presence import Presence
from plait.jobs.records import Draft, Fan, Outcome, Placed, Want
from plait.jobs.sql import claim, enqueue, settle
from plait.jobs.sql.claim import Claims, Lane, Turns
from plait.jobs.sql.session import Session
from plait.jobs.store import Store

__all__ = ["Database"]

T = TypeVar("T")


class Database(Store):
    """A store in SQL, as far as databases differ."""

    #: What people know it by.
    where: str
    #: Whether workers can be told of jobs before these are committed: they wait for the lock then, and are awake.
    tells_early = False
    #: Whether it may crash while its workers live on: a claim that it has forgotten then would run a job twice.
    crashes_alone = False
    #: Which workers of this machine are alive.
    presence: Presence

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

    def tell(self, news: bool, *, ends: bool) -> None:
        """Wake whom it concerns: workers, those who wait for ends."""
        if ends:
            self.tell_waiters()
        if news:
            self.tell_workers()

    def settle(self, session: Session, worker: int, outcomes: Sequence[Outcome], now: float) -> list[int]:
        """Settle outcomes; the positions of those that were refused."""
        return settle.settle(session, worker, outcomes, now)

    def claim(
        self, session: Session, worker: int, wants: Sequence[Want], lanes: Sequence[Lane], most: int, now: float
    ) -> Claims:
        """Claim jobs; them, whether there may be more, and seconds until a gate opens."""
        return claim.claim(session, worker, wants, lanes, most, now, turns=self.turns)

    @cached_property
    def turns(self) -> Turns:
        """Which lanes had their turn last."""
        return Turns()

    def place(self, session: Session, drafts: Sequence[Draft], now: float, fan: Fan | None) -> tuple[list[Placed], int]:
        """Store jobs."""
        return enqueue.enqueue(session, drafts, now, fan)
