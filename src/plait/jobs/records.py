"""What clients, workers and stores say to each other about jobs."""

from __future__ import annotations

from msgspec import Struct

from plait.jobs.protocol import Event, State

__all__ = [
    "NOTHING",
    "PRIORITIES",
    "Claimed",
    "Draft",
    "Ended",
    "Fan",
    "Filter",
    "Note",
    "Outcome",
    "Part",
    "Placed",
    "QueueView",
    "Rule",
    "ScheduleView",
    "Snapshot",
    "Turn",
    "Want",
    "WorkerInfo",
    "WorkerView",
]

#: `None` as the result of a job that another gets.
NOTHING = b"\xc0"
#: Priorities go from minus this to this; higher ones come first.
PRIORITIES = 100


class Draft(Struct, kw_only=True, omit_defaults=True, gc=False):
    """A job that is to be stored.

    Parameters:
        args: the arguments, encoded. task: its name.
        at: when it is to run, in seconds since the epoch; delay: seconds from now, by the store's clock. The later
            counts.
        unique: while a live job of the task has the same, that one stands for this; keep_unique: seconds for which
            that stays so after it has ended.
        key: whose job it is: workers are fair between the keys of a lane.
        gates: for each rule of the task that has a key, in order, the name of its gate.
        then: what is enqueued with its result as their first free argument when it is done, one after the other.
        group, part: the group that it is part of, and as which; 0: none.
        feed: the result of the job before it in a chain, encoded; of: the group whose results it gets.
        on_error: what it gets for parts of that group that failed: "raise", "skip" or "return".
    """

    task: str
    args: bytes = b""
    queue: str = "default"
    priority: int = 0
    at: float = 0.0
    delay: float = 0.0
    unique: str | None = None
    keep_unique: float = 0.0
    key: str | None = None
    gates: tuple[str, ...] = ()
    then: tuple[Draft, ...] = ()
    group: int = 0
    part: int = 0
    feed: bytes | None = None
    of: int = 0
    on_error: str = "raise"


class Placed(Struct, frozen=True, gc=False):
    """Where a draft went: the job's id, and whether it is new (else another stands for it)."""

    id: int
    fresh: bool = True


class Fan(Struct, frozen=True, kw_only=True):
    """A group: how many parts it has, and what is enqueued, in the same transaction, when the last has ended."""

    total: int
    then: Draft | None = None


class Rule(Struct, frozen=True, gc=False):
    """A limit (`cap` jobs running) or a rate (`interval` seconds, `burst`) that all workers together keep.

    Parameters:
        keyed: position among the job's gates; `None`: one gate for the whole task.
    """

    name: str
    cap: int = 0
    interval: float = 0.0
    burst: float = 1.0
    keyed: int | None = None


class Want(Struct, frozen=True, gc=False):
    """A worker wants up to `count` jobs of `task`; with `alone`, of those that have lost a worker before."""

    task: str
    count: int
    rules: tuple[Rule, ...] = ()
    alone: bool = False


class Part(Struct, frozen=True, gc=False):
    """What became of one part of a group: its result, or how it failed."""

    state: State
    result: bytes | None = None
    error: str = ""
    id: int = 0


class Claimed(Struct, frozen=True, gc=False):
    """A job that is the worker's, as long as `token` is its last.

    Parameters:
        attempt: which attempt this is, from 1. crashes: workers that were lost with it.
        created: when it was stored, in seconds since the epoch.
        parts: the results of the group that it follows.
    """

    id: int
    task: str
    args: bytes
    token: int
    attempt: int
    crashes: int = 0
    created: float = 0.0
    queue: str = "default"
    key: str | None = None
    feed: bytes | None = None
    parts: tuple[Part, ...] | None = None
    on_error: str = "raise"


class Outcome(Struct, frozen=True, kw_only=True, gc=False):
    """What became of an attempt.

    Parameters:
        event: one of `protocol.FENCED`.
        delay: seconds until it comes back, for `RETRY` and `SNOOZE`.
        keep: seconds for which the ended job can be looked up; 0: it is forgotten at once, unless a group needs it.
    """

    id: int
    token: int
    event: Event
    result: bytes | None = None
    error: str = ""
    traceback: str = ""
    delay: float = 0.0
    keep: float = 86_400.0


class Turn(Struct, frozen=True, gc=False):
    """What came of one turn of a worker at the store.

    Parameters:
        refused: positions of outcomes that did not count, since the job is no longer the worker's.
        claimed: jobs that are the worker's now.
        due: seconds until a job's time comes or a gate opens, as far as the store knows; `None`: none is known.
        more: whether jobs of a wanted task may have been left.
    """

    refused: tuple[int, ...] = ()
    claimed: tuple[Claimed, ...] = ()
    due: float | None = None
    more: bool = False


class Note(Struct, frozen=True, gc=False):
    """How far a running job is: a share from 0 to 1, and words."""

    id: int
    token: int
    share: float
    text: str = ""


class Ended(Struct, frozen=True, gc=False):
    """A job that has ended, for those who wait for its result."""

    id: int
    state: State
    result: bytes | None = None
    error: str = ""
    traceback: str = ""


class Snapshot(Struct, frozen=True, kw_only=True):
    """All that is known of a job, for people. Times in seconds since the epoch."""

    id: int
    task: str
    queue: str
    state: State
    priority: int = 0
    attempt: int = 0
    crashes: int = 0
    created: float = 0.0
    run_at: float | None = None
    started: float | None = None
    finished: float | None = None
    worker: int | None = None
    key: str | None = None
    unique: str | None = None
    progress: float | None = None
    note: str = ""
    held: str | None = None
    stopping: bool = False
    args: bytes | None = None
    result: bytes | None = None
    error: str = ""
    traceback: str = ""
    group: int = 0


class Filter(Struct, frozen=True, kw_only=True):
    """Which jobs: those of all that is given. before: ids below, so that pages go on by key."""

    states: tuple[State, ...] = ()
    task: str | None = None
    queue: str | None = None
    key: str | None = None
    before: int | None = None
    limit: int = 50


class WorkerInfo(Struct, frozen=True, kw_only=True):
    """What a worker says of itself. boot and space tell whether another process may look at its pid."""

    host: str
    pid: int
    boot: str = ""
    space: str = ""
    queues: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    slots: int = 0


class WorkerView(Struct, frozen=True, kw_only=True):
    """A worker as the store knows it. lease: seconds that are left of it, negative once it has run out."""

    id: int
    info: WorkerInfo
    started: float
    lease: float
    running: int = 0


class QueueView(Struct, frozen=True, kw_only=True):
    """How many jobs of a task in a queue are in which state; wait: seconds that the oldest has been waiting."""

    queue: str
    task: str
    paused: bool = False
    counts: dict[str, int] = {}
    wait: float = 0.0


class ScheduleView(Struct, frozen=True, kw_only=True):
    """A schedule as it is stored. definition: what it was made from, so that a change of that is noticed."""

    name: str
    task: str
    definition: bytes
    next_fire: float
    last_fire: float | None = None
    last_job: int | None = None
    seen: float = 0.0
    paused: bool = False
