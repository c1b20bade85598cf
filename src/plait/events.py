"""What happens during a run, as facts; and the hub that tells observers of them.

Events are frozen and slotted and past-tense. With no observer an emission costs one truth test: emitters write
`if hub.wanted: hub.emit(...)`, and per-item facts ask for their own type first: `if hub.wants(ItemFinished): ...`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = [
    "ChunkFinished",
    "Event",
    "Hub",
    "ItemFailed",
    "ItemFinished",
    "ItemRetried",
    "ObserverDropped",
    "PlacementChosen",
    "RunFinished",
    "RunStarted",
    "WorkerCrashed",
    "WorkerEnded",
    "WorkerStarted",
]

log = logging.getLogger("plait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The parent of every event.

    Parameters:
        at: seconds since the epoch when it happened.
    """

    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A run began. `total` is the number of items where the source knows it."""

    run: str
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """A run ended; `outcome` is `"done"`, `"failed"` or `"cancelled"`."""

    run: str
    outcome: str
    finished: int
    failures: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementChosen(Event):
    """A stage got its placement (`model` is the user's word for it), for `reasons`."""

    stage: str
    model: str
    workers: int | None
    width: int | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkFinished(Event):
    """Results of `items` items arrived (`failed` of them failed their attempt); they took `seconds` in the worker."""

    stage: str
    items: int
    failed: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFinished(Event):
    """One item has its result. Costs its price per item only while somebody observes it."""

    stage: str
    index: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRetried(Event):
    """An attempt failed with `error` and the item will be tried again after `delay` seconds."""

    stage: str
    index: int
    attempt: int
    delay: float
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFailed(Event):
    """An item has no attempts left."""

    stage: str
    index: int
    attempts: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStarted(Event):
    """A worker process was started."""

    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEnded(Event):
    """A worker process was ended by Plait, for `reason` (recycled, timed out, idle, closed)."""

    pid: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCrashed(Event):
    """A worker process died; `suspects` are the indexes of the items that it had in hand."""

    stage: str
    pid: int
    status: str
    suspects: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverDropped(Event):
    """An observer raised and hears no more of this run."""

    observer: str
    error: str


Observer = Callable[[Event], object]


class Hub:
    """Tells observers of events, in the thread in which each happened.

    Concurrency: `emit` and `subscribe` are safe from any thread; observers must be, too. An observer that raises is
    logged, dropped and reported by `ObserverDropped`; it never breaks a run.
    """

    def __init__(self) -> None:
        self._observers: tuple[tuple[Observer, tuple[type[Event], ...]], ...] = ()
        self._lock = threading.Lock()
        #: True while anybody listens: the one truth test.
        self.wanted = False

    def wants(self, kind: type[Event]) -> bool:
        """True while somebody listens to events of this type."""
        return self.wanted and any(issubclass(kind, types) for _, types in self._observers)

    def add(self, observer: Observer, types: Iterable[type[Event]] | None = None) -> Callable[[], None]:
        """Call `observer` with every event of `types` (all by default); returns what takes it off again."""
        entry = (observer, tuple(types) if types is not None else (Event,))
        with self._lock:
            self._observers += (entry,)
            self.wanted = True
        return lambda: self._remove(entry)

    @contextmanager
    def subscribe(self, observer: Observer, types: Iterable[type[Event]] | None = None) -> Iterator[None]:
        """Observe inside a `with` block."""
        remove = self.add(observer, types)
        try:
            yield
        finally:
            remove()

    def emit(self, event: Event) -> None:
        """Tell every observer that listens to this event's type."""
        dropped = []
        for entry in self._observers:
            observer, types = entry
            if isinstance(event, types):
                try:
                    observer(event)
                except Exception as error:
                    self._remove(entry)
                    name = getattr(observer, "__qualname__", repr(observer))
                    log.warning("The observer %s raised and was dropped.", name, exc_info=True)
                    dropped.append(ObserverDropped(observer=name, error=repr(error)))
        for fact in dropped:  # after the loop: those told of it are those that are left
            self.emit(fact)

    def _remove(self, entry: tuple[Observer, tuple[type[Event], ...]]) -> None:
        with self._lock:
            self._observers = tuple(e for e in self._observers if e is not entry)
            self.wanted = bool(self._observers)
