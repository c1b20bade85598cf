"""The stores that the tests of jobs run over, each with a clock that only moves when it is told to."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from plait.jobs.memory.store import MemoryStore
from plait.jobs.postgres import hot
from plait.jobs.postgres.store import PostgresStore
from plait.jobs.protocol import Event
from plait.jobs.records import Claimed, Draft, Outcome, Want, WorkerInfo
from plait.jobs.sql.store import SqlStore
from plait.jobs.sql.upkeep import Outage
from plait.jobs.sqlite.store import SqliteStore
from plait.jobs.store import Store
from plait.jobs.testing import VirtualClock

AnySqlStore = TypeVar("AnySqlStore", bound=SqlStore)
KINDS = ("memory", "sqlite", "postgres")
STORED = KINDS[1:]  # outside of the process
ME = WorkerInfo(host="here", pid=1)


class FromTheBeginning(hot.Watermarks):
    """Claims that never leave out what appeared behind the mark: what a claim finds is the same every time."""

    def take(self, session, lane, count, worker, now):
        return hot._take(session, lane, count, worker, now, None)


def sqlite_store(path: Path, clock: Callable[[], float]) -> SqliteStore:
    return ageless(SqliteStore(path, full=False, clock=clock))


def postgres_store(url: str, clock: Callable[[], float]) -> PostgresStore:
    store = PostgresStore(url, clock=clock)
    store._marks = FromTheBeginning()
    return ageless(store)


def open_store(kind: str, clock: Callable[[], float], path: Path, url: str) -> Store:
    """A store of one of `KINDS`."""
    if kind == "memory":
        return MemoryStore(clock)
    return sqlite_store(path, clock) if kind == "sqlite" else postgres_store(url, clock)


def ageless(store: AnySqlStore) -> AnySqlStore:
    """A store for which no time passes but that of its clock: a slow machine is no outage."""
    store.__dict__["outage"] = Outage(lambda: 0.0, jump=math.inf)
    return store


@dataclass
class Bench:
    """A store, and short words for what tests do with it all the time."""

    store: Store
    clock: VirtualClock

    def worker(self) -> int:
        """A worker with a lease."""
        return self.store.register(ME)

    def put(self, task: str = "t", **said: object) -> int:
        """The id of a new job."""
        return self.store.enqueue([Draft(task=task, **said)])[0][0].id

    def claim(self, worker: int, count: int = 1, task: str = "t", **said: object) -> list[Claimed]:
        """What a worker gets that wants `count` jobs of a task."""
        alone, rules = said.pop("alone", False), said.pop("rules", ())
        return list(self.store.turn(worker, wants=[Want(task, count, rules, alone)], **said).claimed)

    def ids(self, worker: int, count: int = 1, task: str = "t", **said: object) -> list[int]:
        """The same, the ids only."""
        return [job.id for job in self.claim(worker, count, task, **said)]

    def settle(self, worker: int, job: Claimed, event: Event = Event.SUCCEED, **said: object) -> bool:
        """Whether the store took what became of a job."""
        return not self.store.turn(worker, [outcome(job, event, **said)]).refused

    def states(self, *jobs: int) -> list[str]:
        """The state of each job."""
        found = self.store.states(jobs)
        return [found[job].value if job in found else "" for job in jobs]

    def run(self, worker: int, job: int, **said: object) -> None:
        """Have a job done that is the next of its task."""
        (claimed,) = self.claim(worker, task=self.store.show(job).task)
        assert claimed.id == job
        assert self.settle(worker, claimed, **said)


def outcome(job: Claimed, event: Event = Event.SUCCEED, **said: object) -> Outcome:
    """What became of a claimed job."""
    return Outcome(id=job.id, token=job.token, event=event, **said)


@contextlib.contextmanager
def closing(*stores: Store) -> Iterator[None]:
    """Close stores at the end."""
    try:
        yield
    finally:
        for store in stores:
            store.close()
