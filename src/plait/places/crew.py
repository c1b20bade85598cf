"""What the engine asks of a place: a crew of seats that run items; and what a crew tells the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol

from plait.errors import CannotTravel
from plait.placement import Placement
from plait.registry import Registry
from plait.styles.batch import Batch

__all__ = ["MOVED", "Crew", "Listener", "Opener", "Refused", "Seat", "Work", "places"]


@dataclass(frozen=True, slots=True)
class Work:
    """What a crew needs to know of a task.

    Parameters:
        loop: the event loop for style `loop` in this process.
        timeout: seconds for one attempt. option: what set them, `"timeout"` or `"deadline"`.
        memory: bytes that all workers together may take; `None`: any.
    """

    function: Any
    resources: Mapping[str, Any]
    name: str
    context: Context
    loop: asyncio.AbstractEventLoop | None
    timeout: float | None
    option: str
    memory: int | None


class Refused(Exception):
    """Items of a chunk that cannot travel, by position; the chunk was not sent."""

    def __init__(self, errors: dict[int, CannotTravel]) -> None:
        self.errors = errors


class Seat(Protocol):
    """One worker of a crew: a process, or this process itself.

    Attributes:
        style: `"serial"`, `"threads"` or `"loop"`.
        width: items in progress at once.
        can_kill: whether an attempt can be ended by ending the seat.
        crew: the crew that it belongs to.
    """

    style: str
    width: int
    can_kill: bool
    crew: Any

    @property
    def pid(self) -> int:
        """The process that it is."""
        ...

    def send(self, first: int, items: Sequence[Any], grain: int, budget: float, *, by_value: bool) -> int:
        """Hand over items, numbered from `first`; returns the bytes that travelled.

        Parameters:
            grain: how many of them one thread takes at a time.
            budget: seconds after which items not yet begun are handed back; in style `loop`, which never does that,
                seconds that are left for each attempt.
            by_value: pickle them by value, since the worker could not read them otherwise.

        Raises:
            Refused: some of them cannot travel.
        """
        ...

    def words(self) -> list[int]:
        """What each slot has in hand: its sequence number + 1, or 0."""
        ...

    def queued(self) -> float:
        """Seconds for which the threads that run its items were ready and had no CPU, as far as that is known."""
        ...

    def worn(self) -> str:
        """Why it should be replaced once it has nothing in hand; empty: it need not."""
        ...

    def kill(self, reason: str) -> None:
        """End it at once, whatever it has in hand."""
        ...

    def drop(self, seq: int) -> None:
        """Cancel the attempt `seq` if that can be done without harm to others; its outcome comes all the same."""
        ...


class Listener(Protocol):
    """Who hears from the seats, in whichever thread."""

    def seated(self, seat: Seat) -> None:
        """The seat is ready for items."""

    def arrived(self, seat: Seat, batch: Batch, weight: int, cpu: float) -> None:
        """Results came: `weight` bytes of them, for which the worker spent `cpu` seconds."""

    def unreadable(self, seat: Seat, seq: int, why: str) -> None:
        """The worker could not read the chunk that begins with `seq`."""

    def scrambled(self, seat: Seat, seqs: Sequence[int], why: str) -> None:
        """The results of these items came, but cannot be read here."""

    def lost(self, seat: Seat, words: list[int], status: str, stack: str, opened: bool) -> None:
        """The worker is dead; `words` are what its slots had in hand."""

    def broken(self, error: BaseException, traceback: str) -> None:
        """The work cannot run here at all."""


class Crew(Protocol):
    """The seats of one lane."""

    def open(self, seats: int) -> None:
        """Begin to get `seats` more seats; `Listener.seated` tells of each."""
        ...

    def retire(self, seat: Seat, reason: str) -> None:
        """A seat with nothing in hand is not wanted any more: worn out, or (`MOVED`) still good for others."""
        ...

    def resize(self, width: int) -> None:
        """Have up to `width` items in progress in each seat from now on."""
        ...

    def close(self, wait: float, *, prompt: bool) -> list[str]:
        """End every seat within `wait` seconds, `prompt`ly if what they have in hand is not wanted.

        Returns what could not be ended.
        """
        ...


class Opener(Protocol):
    """Makes the crew of a place."""

    def __call__(self, work: Work, placement: Placement, listener: Listener) -> Crew:
        """A crew for `work`, with no seat yet."""
        ...


#: Why a seat is retired whose lane has moved to another placement.
MOVED = "moved"

#: Place name -> what opens a crew there. Third parties add theirs by the entry-point group `plait.places`.
places: Registry[Opener] = Registry("place", group="plait.places")
places.register("here", "plait.places.here:HereCrew")
places.register("processes", "plait.places.processes.crew:ProcessCrew")
