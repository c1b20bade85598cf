"""A process that fires schedules while its own clock goes from one time to another; it may die at a firing.

It says that it is ready, and begins when it is told to. Arguments: URL, begin, end, seed, which firing it dies at (0:
none), whether "before" or "after" it.
"""

import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from plait import Jobs
from plait.jobs.calendar import calendar_of
from plait.jobs.postgres.store import PostgresStore
from plait.jobs.records import Draft
from plait.jobs.schedules import Schedule, Schedules
from plait.jobs.sqlite.store import SqliteStore
from plait.jobs.store import Store
from plait.jobs.testing import VirtualClock

#: Name -> what it is made from. Around the end of summer time in Paris, 2025.
TIMES = {"minute": (60, None), "five": ("*/5 * * * *", "Europe/Paris"), "half": ("30 * * * *", "Australia/Lord_Howe")}


class Bare(Schedule):
    """Jobs that say for which time they are, and that nothing but the store keeps from coming twice."""

    def submitted(self, at: float) -> Draft:
        return msgspec.structs.replace(self.draft, unique=None, key=f"{self.name} {at:.0f}")


def declared(missed: str = "all") -> list[Schedule]:
    """The schedules of `TIMES`."""
    jobs = Jobs("memory://")

    @jobs.task
    def tick() -> None: ...

    return [
        Bare(name, str(spec), tick, calendar_of(spec, tz), Draft(task="tick"), missed, "allow")
        for name, (spec, tz) in TIMES.items()
    ]


def opened(url: str, clock: VirtualClock) -> Store:
    if url.startswith("postgres"):
        return PostgresStore(url, clock=clock)
    return SqliteStore(Path(url), full=False, clock=clock)


def mortal(store: Store, dies_at: int, when: str) -> None:
    """Have the process die at a firing of its own, before or after that is stored."""
    fire, count = store.fire, 0

    def fire_or_die(name: str, due: float, next_fire: float, drafts: Sequence[Draft]) -> object:
        nonlocal count
        count += 1
        if count == dies_at and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        placed = fire(name, due, next_fire, drafts)
        if count == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return placed

    store.fire = fire_or_die  # type: ignore[method-assign]


def main(url: str, begin: str, end: str, seed: str, dies_at: str, when: str) -> None:
    clock, draw = VirtualClock(float(begin)), random.Random(seed)
    store = opened(url, clock)
    mortal(store, int(dies_at), when)
    schedules = Schedules(declared(), store)
    schedules.fire()  # nothing is due; from now on it knows when something is
    print("ready", flush=True)
    sys.stdin.readline()
    while clock.now < float(end):
        schedules.fire()
        clock.now = min(float(end), clock.now + draw.choice([1.0, 10.0, 60.0, 400.0]))
    schedules.fire()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
