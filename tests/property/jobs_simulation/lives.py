"""What is known of each job, each group, each worker, from what was asked of the store and what it answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from plait.jobs.protocol import LIVE, Event, State, after_event
from plait.jobs.records import Draft, Part, Snapshot
from tests.property.jobs_simulation.history import Broken


@dataclass(slots=True, eq=False)
class Group:
    """A group: the parts that have not ended, and what the others came to.

    Parameters:
        over: whether all have ended. needed: whether somebody will ask what the parts came to.
    """

    id: int
    total: int
    then: Draft | None
    open: set[int] = field(default_factory=set)
    parts: dict[int, Part] = field(default_factory=dict)
    over: bool = False
    needed: bool = True

    def tells(self, life: Life, parts: Sequence[Part] | None) -> None:
        """Its callback was told what became of every part, in order; of one that ran again by itself, that."""
        if parts is None or len(parts) != self.total:
            raise Broken("groups", f"{life.name} is told of {parts}, of {self.total} parts", [life.id])
        for at, part in enumerate(parts):
            known = self.parts.get(at)
            alike = part.state is State.FAILED if known is None else _of(part) == _of(known)
            if not alike:
                raise Broken("groups", f"{life.name}: part {at} was {known}, it is told {part}", [life.id])


def _of(part: Part) -> tuple[State, bytes | None, int]:
    return part.state, part.result, part.id


@dataclass(slots=True, eq=False)
class Life:
    """A job, from its birth on.

    Parameters:
        prompt: it was waiting from the first, and nobody ever had it run again: it comes in the plain order.
        ahead: jobs of its key that were before it; passed: for each other key, jobs that came before it since.
    """

    id: int
    draft: Draft
    state: State
    run_at: float | None
    prompt: bool
    group: Group | None = None
    part: int = 0
    feed: bytes | None = None
    of: Group | None = None
    token: int = 0
    worker: int = 0
    retries: int = 0
    crashes: int = 0
    begun: bool = False
    cancelled: bool = False
    claims: int = 0
    ran: set[int] = field(default_factory=set)
    unique: tuple[str, str] | None = None
    result: bytes | None = None
    forgettable: bool = False
    ahead: int = 0
    passed: dict[str, int] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Whether it is still to be worked on."""
        return self.state in LIVE

    @property
    def lane(self) -> tuple[str, str, int]:
        """Among which jobs it comes in order."""
        return self.draft.task, self.draft.queue, self.draft.priority

    @property
    def name(self) -> str:
        """As people know it."""
        return f"job {self.id} ({self.draft.args.decode()})"

    def step(self, event: Event) -> None:
        """It goes from one state to another."""
        state = after_event(self.state, event)
        if state is None:
            raise Broken("transitions", f"{self.name} is {self.state}, and {event} happened to it", [self.id])
        self.state = state

    def due(self, now: float) -> bool:
        """Whether its time has come."""
        return self.run_at is not None and self.run_at <= now

    def seen(self, found: Snapshot, now: float) -> None:
        """The store says this of it."""
        if found.state is not self.state:
            if (self.state, found.state) == (State.SCHEDULED, State.WAITING) and self.due(now):
                self.step(Event.DUE)
            else:
                raise Broken("one state", f"{self.name} is {found.state}, and should be {self.state}", [self.id])
        if found.crashes != self.crashes:
            raise Broken("crashes", f"{self.name} counts {found.crashes}, had {self.crashes}", [self.id])
        counted = self.retries + (self.state not in (State.WAITING, State.SCHEDULED))
        if self.state is not State.CANCELLED and found.attempt != counted:
            raise Broken("attempts", f"{self.name} counts {found.attempt}, had {counted}", [self.id])
        if self.state is State.RUNNING and (found.worker, found.stopping) != (self.worker, self.cancelled):
            what = f"{found.worker}, {found.stopping} for {self.worker}, {self.cancelled}"
            raise Broken("one state", f"{self.name}: worker and wish to stop it are {what}", [self.id])

    def mine(self, token: int) -> bool:
        """Whether a worker with this token has it."""
        return self.state is State.RUNNING and self.token == token
