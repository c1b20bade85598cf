"""A world in virtual time: actors that ask one store, and what may befall them between any two steps, and within one.

    actor ──Call──> (on its way) ──> store, and what checks its answer ──> (on its way back) ──> actor
              a crash, a stop, an outage ^               ^ a crash, a stop, the answer lost

An actor is a generator that yields what it wants: a `Call` of the store, or a `Sleep`. Who steps next, how long a call
is on its way, and what befalls whom: all of it is drawn from one seed.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple

from plait.errors import Stale, StoreError
from plait.jobs.records import Filter
from plait.jobs.store import Store
from plait.jobs.testing import VirtualClock
from tests.property.jobs_simulation.history import History
from tests.property.jobs_simulation.ledger import Ledger

EVERYTHING = Filter(limit=100_000)
#: Calls after which jobs may be in another state.
CHANGES = frozenset({"enqueue", "turn", "cancel", "redo", "leave", "recover", "upkeep", "fire", "transact"})
#: Seconds after which a call has come to the store, or never will, that who asked has given up.
LATE = 5.0


class Call(NamedTuple):
    """A method of the store, and what it is given."""

    method: str
    said: tuple[Any, ...] = ()
    named: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it


class Sleep(NamedTuple):
    """Nothing for so many seconds."""

    seconds: float


Steps = Generator[Call | Sleep, Any, None]


def call(method: str, *said: Any, **named: Any) -> Call:
    """Ask the store."""
    return Call(method, said, named)


class Faults(NamedTuple):
    """How likely each is, at each call of the store; and shares of time."""

    crash: float = 0.0  # the worker is gone
    stop: float = 0.0  # the worker stands still, often for longer than its lease
    lose: float = 0.0  # the call happens, and nobody hears the answer
    away: float = 0.0  # the store cannot be asked for a while, at each call
    slow: float = 0.0  # the call is on its way for long
    late: float = 0.0  # who asks is told that it failed, and then it happens


class Being:
    """Who acts, dies and stands still as one.

    Parameters:
        mortal: whether it may crash and be stopped. speed: of its own clock; 2: its seconds last for two.
    """

    def __init__(self, name: str, *, mortal: bool = False, speed: float = 1.0) -> None:
        self.name, self.mortal, self.speed = name, mortal, speed
        self.dead = False
        self.stopped = 0.0
        self.died: Callable[[], None] = lambda: None


class World:
    """Clock, store and actors.

    Parameters:
        peace: the time from which on nothing bad happens any more.
    """

    def __init__(self, store: Store, clock: VirtualClock, ledger: Ledger, seed: int, faults: Faults, peace: float):
        self.store, self.clock, self.ledger = store, clock, ledger
        self.random = random.Random(seed)
        self.faults = faults
        self.peace = clock.now + peace
        self.history = History()
        self._away = 0.0
        self._ahead: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()

    @property
    def now(self) -> float:
        """The time."""
        return self.clock.now

    @property
    def peaceful(self) -> bool:
        """Whether nothing bad happens any more."""
        return self.clock.now >= self.peace

    # --- time -------------------------------------------------------------------------------------------------------

    def after(self, seconds: float, do: Callable[..., None], *given: Any) -> None:
        """Do something later."""
        heappush(self._ahead, (self.clock.now + seconds, next(self._numbers), do, given))

    def run(self, over: Callable[[], bool]) -> None:
        """Let time pass until it is over."""
        while self._ahead and not over():
            at, _, do, given = heappop(self._ahead)
            self.clock.now = max(self.clock.now, at)
            do(*given)

    # --- actors -----------------------------------------------------------------------------------------------------

    def spawn(self, being: Being, steps: Steps) -> None:
        """Somebody begins with something."""
        self.after(0.0, self._step, being, steps, None, None)

    def _step(self, being: Being, steps: Steps, answer: Any, error: BaseException | None) -> None:
        if being.dead:
            steps.close()
            return
        if being.stopped > self.clock.now:
            wake = min(being.stopped, max(self.peace, self.clock.now + 0.001))
            if wake <= self.clock.now + 0.001:
                being.stopped = 0.0
            self.after(wake - self.clock.now + self.random.random() * 0.01, self._step, being, steps, answer, error)
            return
        try:
            wants = steps.throw(error) if error is not None else steps.send(answer)
        except StopIteration:
            return
        if type(wants) is Sleep:
            self.after(wants.seconds * being.speed, self._step, being, steps, None, None)
        else:
            self.after(self._way(), self._reach, being, steps, wants)

    def _way(self) -> float:
        """Seconds that a call, or its answer, is on its way."""
        draw = self.random.random
        if not self.peaceful and draw() < self.faults.slow:
            return draw() * 20.0
        return 0.0005 + draw() * 0.01

    def _reach(self, being: Being, steps: Steps, wants: Call) -> None:
        """A call comes to the store; or who asks has given it up by then."""
        if not self.peaceful and self.random.random() < self.faults.late:
            self.history.add(self.clock.now, being.name, f"gives up {wants.method}, which is on its way still")
            self.after(self.random.random() * LATE, self._comes_late, being, wants)
            self.after(self._way(), self._step, being, steps, None, StoreError("the connection broke"))
            return
        try:
            answer, error = self.ask(being, wants), None
        except StoreError as said:
            answer, error = None, said
        self.after(self._way(), self._step, being, steps, answer, error)

    def _comes_late(self, being: Being, wants: Call) -> None:
        with contextlib.suppress(StoreError):
            self.ask(being, wants)

    def ask(self, being: Being, wants: Call) -> Any:
        """Ask the store at once, with everything that may befall who asks.

        Raises:
            StoreError: it could not be asked, or the answer was lost.
        """
        draw, faults = self.random.random, self.faults
        if self.peaceful:
            return self._perform(being, wants)
        if being.dead and draw() < 0.5:  # it died before this was on its way
            raise StoreError("nobody asks")
        if self.clock.now < self._away:
            raise StoreError("away")
        if draw() < faults.away:
            self._away = self.clock.now + draw() * (25.0 if draw() < 0.3 else 3.0)
            self.history.add(self.clock.now, "store", "store is away", (self._away - self.clock.now,))
            raise StoreError("away")
        if being.mortal and draw() < faults.crash:
            self.crash(being)
            if draw() < 0.5:
                raise StoreError("nobody asks")
        if being.mortal and draw() < faults.stop:
            self.stop(being, draw() * 40.0)
        answer = self._perform(being, wants)
        if draw() < faults.lose:
            self.history.add(self.clock.now, being.name, f"does not hear the answer of {wants.method}")
            raise StoreError("the answer was lost")
        return answer

    def _perform(self, being: Being, wants: Call) -> Any:
        ledger, store, now = self.ledger, self.store, self.clock.now
        if wants.method == "transact":
            answer = _transact(store, *wants.said)
        else:
            answer = getattr(store, wants.method)(*wants.said, **wants.named)
        self.history.add(now, being.name, wants.method, wants.said, answer)
        if wants.method == "upkeep" and ledger.expired(now):
            answer = {view.id for view in store.workers()}
        ledger.see(wants.method, wants.said, wants.named, answer, now)
        if wants.method in CHANGES and ledger.stirred:
            ledger.observe(store.find(EVERYTHING), lambda job: store.show(job).args, now)  # type: ignore[union-attr]
        return answer

    # --- faults -----------------------------------------------------------------------------------------------------

    def crash(self, being: Being) -> None:
        """It is gone, with all that it was about to do."""
        if not being.dead:
            self.history.add(self.clock.now, being.name, "crashes")
            being.dead = True
            being.died()

    def stop(self, being: Being, seconds: float) -> None:
        """It stands still."""
        self.history.add(self.clock.now, being.name, "stops", (f"{seconds:.1f} s",))
        being.stopped = max(being.stopped, self.clock.now + seconds)


def _transact(store: Store, job: int, token: int, result: bytes, keep: float) -> bool:
    try:
        with store.transact(job, token) as transaction:
            transaction.finish(result, keep)
    except Stale:
        return False
    return True
