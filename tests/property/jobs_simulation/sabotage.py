"""Stores that break one promise each: what the checker is worth is whether it finds them out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from plait.jobs.memory.store import MemoryStore
from plait.jobs.protocol import Event, State
from plait.jobs.records import Draft, Fan, Outcome, Placed, Turn, Want

__all__ = ["SABOTAGED"]

_but = msgspec.structs.replace


class NoFence(MemoryStore):
    """A result counts whoever brings it, as long as the job is running."""

    def turn(self, worker: int, outcomes: Sequence[Outcome] = (), *rest: Any, **named: Any) -> Turn:
        tokens = {job: token for view in self.workers() for job, token in self.running(view.id)}
        outcomes = [_but(outcome, token=tokens.get(outcome.id, outcome.token)) for outcome in outcomes]
        return super().turn(worker, outcomes, *rest, **named)


class NoLease(MemoryStore):
    """Who has lost its lease claims all the same."""

    def turn(self, worker: int, *rest: Any, **named: Any) -> Turn:
        self.beat(worker)
        return super().turn(worker, *rest, **named)


class Hasty(MemoryStore):
    """Workers are given up two thirds into their lease."""

    def upkeep(self) -> float | None:
        for view in self.workers():
            if view.lease < 10.0:
                self.recover(view.id)
        return super().upkeep()


class Forgetful(MemoryStore):
    """Jobs of workers that are gone stay where they are."""

    def recover(self, worker: int) -> int:
        return 0

    def upkeep(self) -> float | None:
        for view in self.workers():
            self.beat(view.id)
        return super().upkeep()


class CountsCrashes(MemoryStore):
    """A crash is an attempt."""

    def turn(self, *said: Any, **named: Any) -> Turn:
        turn = super().turn(*said, **named)
        return _but(turn, claimed=tuple(_but(job, attempt=job.attempt + job.crashes) for job in turn.claimed))


class CountsSnoozes(MemoryStore):
    """A snooze is an attempt."""

    def turn(self, worker: int, outcomes: Sequence[Outcome] = (), *rest: Any, **named: Any) -> Turn:
        count = [_but(o, event=Event.RETRY) if o.event is Event.SNOOZE else o for o in outcomes]
        return super().turn(worker, count, *rest, **named)


class BlamesBystanders(MemoryStore):
    """All that a worker had counts as begun."""

    def turn(self, *said: Any, **named: Any) -> Turn:
        turn = super().turn(*said, **named)
        for job in turn.claimed:
            self.begin(job.id, job.token)
        return turn


class LosesResults(MemoryStore):
    """A result in five is refused without a reason."""

    def turn(self, worker: int, outcomes: Sequence[Outcome] = (), *rest: Any, **named: Any) -> Turn:
        outcomes = [_but(outcome, token=-1) if outcome.id % 5 == 0 else outcome for outcome in outcomes]
        return super().turn(worker, outcomes, *rest, **named)


class EarlyCallback(MemoryStore):
    """A group's callback comes before its last part has ended."""

    def enqueue(
        self, drafts: Sequence[Draft], *, fan: Fan | None = None, connection: Any = None
    ) -> tuple[list[Placed], int]:
        placed, group = super().enqueue(drafts, fan=fan, connection=connection)
        if fan is not None and fan.total > 1:
            with self._tables() as all_:
                all_.groups[group].open -= 1
        return placed, group


class CountsPartsTwice(MemoryStore):
    """A part that is tried again is counted when it fails, and when it ends."""

    def turn(self, worker: int, outcomes: Sequence[Outcome] = (), *rest: Any, **named: Any) -> Turn:
        with self._tables() as all_:
            for outcome in outcomes:
                job = all_.jobs.get(outcome.id)
                if outcome.event is Event.RETRY and job is not None and job.group in all_.groups:
                    all_.groups[job.group].open -= 1
        return super().turn(worker, outcomes, *rest, **named)


class MixesParts(MemoryStore):
    """A callback gets the results of the parts the wrong way round."""

    def turn(self, *said: Any, **named: Any) -> Turn:
        turn = super().turn(*said, **named)
        turned = tuple(_but(job, parts=job.parts[::-1] if job.parts else job.parts) for job in turn.claimed)
        return _but(turn, claimed=turned)


class BreaksChains(MemoryStore):
    """A chain ends with its first link."""

    def enqueue(
        self, drafts: Sequence[Draft], *, fan: Fan | None = None, connection: Any = None
    ) -> tuple[list[Placed], int]:
        return super().enqueue([_but(draft, then=()) for draft in drafts], fan=fan, connection=connection)


class PassesLimits(MemoryStore):
    """One more than may be runs at once."""

    def turn(
        self, worker: int, outcomes: Sequence[Outcome] = (), wants: Sequence[Want] = (), *, most: int = 10_000, **_: Any
    ) -> Turn:
        loose = [_but(w, rules=tuple(_but(r, cap=r.cap and r.cap + 1) for r in w.rules)) for w in wants]
        return super().turn(worker, outcomes, loose, most=most, **_)


class PassesRates(MemoryStore):
    """Jobs begin at twice the rate."""

    def turn(
        self, worker: int, outcomes: Sequence[Outcome] = (), wants: Sequence[Want] = (), *, most: int = 10_000, **_: Any
    ) -> Turn:
        fast = [_but(w, rules=tuple(_but(r, interval=r.interval / 2) for r in w.rules)) for w in wants]
        return super().turn(worker, outcomes, fast, most=most, **_)


class LeaksPlaces(MemoryStore):
    """A job that failed keeps its place at the gate."""

    def turn(self, worker: int, outcomes: Sequence[Outcome] = (), *rest: Any, **named: Any) -> Turn:
        with self._tables() as all_:
            had = {o.id: all_.jobs[o.id].gates for o in outcomes if o.event is Event.FAIL and o.id in all_.jobs}
        turn = super().turn(worker, outcomes, *rest, **named)
        with self._tables() as all_:
            for job, gates in had.items():
                if job in all_.jobs:
                    all_.jobs[job].gates = gates
        return turn


class NoPriorities(MemoryStore):
    """Who comes first is served first, however urgent another is."""

    def enqueue(
        self, drafts: Sequence[Draft], *, fan: Fan | None = None, connection: Any = None
    ) -> tuple[list[Placed], int]:
        return super().enqueue([_but(draft, priority=0) for draft in drafts], fan=fan, connection=connection)


class Unfair(MemoryStore):
    """Keys do not take turns."""

    def turn(self, *said: Any, **named: Any) -> Turn:
        with self._tables() as all_:
            for job in all_.jobs.values():
                job.vt = 0.0
        return super().turn(*said, **named)


class FreesKeysEarly(MemoryStore):
    """A unique key is free again as soon as its job runs."""

    def turn(self, *said: Any, **named: Any) -> Turn:
        turn = super().turn(*said, **named)
        with self._tables() as all_:
            for job in turn.claimed:
                all_.unique.pop(all_.jobs[job.id].unique or "", None)
        return turn


class RunsCancelled(MemoryStore):
    """A job that was cancelled and is handed back comes again."""

    def turn(self, worker: int, outcomes: Sequence[Outcome] = (), *rest: Any, **named: Any) -> Turn:
        with self._tables() as all_:
            for outcome in outcomes:
                job = all_.mine(outcome.id, outcome.token)
                if job is not None and outcome.event in (Event.RETRY, Event.SNOOZE, Event.RELEASE):
                    job.cancelled = False
        return super().turn(worker, outcomes, *rest, **named)


class IgnoresCancels(MemoryStore):
    """Who cancels a waiting job is told that it is, and it runs."""

    def cancel(self, ids: Collection[int]) -> dict[int, State]:
        waits = (State.WAITING, State.SCHEDULED)
        return {job: State.CANCELLED if state in waits else state for job, state in self.states(ids).items()}


class IgnoresPauses(MemoryStore):
    """Jobs of paused queues are claimed."""

    def pause(self, queue: str) -> None:
        pass


class FiresTwice(MemoryStore):
    """A schedule fires for whoever comes, whoever was first."""

    def fire(self, name: str, due: float, next_fire: float, drafts: Sequence[Draft]) -> list[Placed] | None:
        known = {view.name: view.next_fire for view in self.schedules()}
        return super().fire(name, known.get(name, due), next_fire, drafts)


class RedoesDone(MemoryStore):
    """Jobs that are done are run again on request."""

    def redo(self, ids: Collection[int]) -> list[int]:
        with self._tables() as all_:
            for job in all_.known(ids):
                if job.state is State.DONE:
                    job.state = State.FAILED
        return super().redo(ids)


#: Each, and the rule that it is found out by.
SABOTAGED: dict[type[MemoryStore], set[str]] = {
    NoFence: {"fence"},
    NoLease: {"leases", "one state"},
    Hasty: {"one state", "leases"},
    Forgetful: {"one state", "crashes", "leases", "liveness"},
    CountsCrashes: {"attempts"},
    CountsSnoozes: {"attempts"},
    BlamesBystanders: {"crashes", "one state"},
    LosesResults: {"fence"},
    EarlyCallback: {"followers", "complete"},
    CountsPartsTwice: {"followers"},
    MixesParts: {"groups"},
    BreaksChains: {"followers"},
    PassesLimits: {"limits"},
    PassesRates: {"rates"},
    LeaksPlaces: {"liveness"},
    NoPriorities: {"priority"},
    Unfair: {"fairness"},
    FreesKeysEarly: {"unique"},
    RunsCancelled: {"one state"},
    IgnoresCancels: {"one state", "claims", "cancel"},
    IgnoresPauses: {"claims"},
    FiresTwice: {"schedules"},
    RedoesDone: {"redo", "one state"},
}
