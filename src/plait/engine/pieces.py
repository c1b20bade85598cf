"""What a lane keeps of items: pieces that wait to be sent, chunks that a seat has in hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from plait.places.crew import Seat
from plait.styles.batch import Raised

__all__ = ["Chunk", "Piece", "Post"]


@dataclass(slots=True, eq=False)
class Piece:
    """Consecutive items that wait to be sent (again).

    Parameters:
        start: index of the first.
        attempt: which attempt the next one is, from 1.
        crashes: workers that died with it in hand; then it is a single item, run alone.
        since: when its first attempt began, where that is known (`time.monotonic()` seconds).
        by_value: pickle everything by value: the worker could not read it otherwise.
        single: its results could not be read together with others.
        waited: seconds that it waited before this attempt.
        here: it cannot travel, and is run in this process.
        keys: of its rates and limits, where it has any; then it is a single item.
        deaths: workers that died when this was next, but had not begun any of it: reading it may be what killed them.
    """

    start: int
    items: list[Any]
    attempt: int = 1
    crashes: int = 0
    since: float | None = None
    by_value: bool = False
    deaths: int = 0
    single: bool = False
    waited: float | None = None
    here: bool = False
    keys: Any = None

    @property
    def alone(self) -> bool:
        """Whether nothing else may be in hand with it."""
        return self.crashes > 0 or self.single

    def split(self, count: int) -> Piece:
        """The first `count` items; this piece keeps the rest."""
        head = self.part(0, count)
        self.start += count
        del self.items[:count]
        return head

    def part(self, first: int, last: int) -> Piece:
        """Items `first` up to `last` of it, as a piece of their own."""
        items = self.items[first:last]
        piece = Piece(self.start + first, items, self.attempt, self.crashes, self.since, self.by_value, self.deaths)
        piece.waited, piece.here, piece.keys = self.waited, self.here, self.keys
        return piece


OPEN, DONE, LATE = 0, 1, 2


@dataclass(slots=True)
class Chunk:
    """A piece that a seat has in hand, its items numbered from `seq`; `marks` says what is known of each."""

    seq: int
    piece: Piece
    marks: bytearray
    left: int
    #: Retries that wait until an attempt which was given up has ended: position -> (delay, item's piece).
    held: dict[int, tuple[float, Piece]] = field(default_factory=dict)
    #: When it was sent (`time.monotonic()` seconds).
    sent: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, seq: int, piece: Piece) -> Chunk:
        """A chunk of which nothing has come back yet."""
        return cls(seq, piece, bytearray(len(piece.items)), len(piece.items))

    def runs(self) -> Iterator[tuple[int, int]]:
        """Stretches of items of which nothing has come back."""
        at, marks = 0, self.marks
        while (at := marks.find(OPEN, at)) >= 0:
            end = at
            while end < len(marks) and marks[end] == OPEN:
                end += 1
            yield at, end
            at = end


@dataclass(slots=True, eq=False)
class Post:
    """A seat, and what it has in hand."""

    seat: Seat
    chunks: dict[int, Chunk] = field(default_factory=dict)
    in_hand: int = 0
    condemned: str = ""
    #: Attempts that it was killed for: sequence number -> why.
    timed_out: dict[int, Raised] = field(default_factory=dict)
    killed: bool = False
    held: bool = False  # gets nothing more for the time being
    spare: bool = False  # gets what cannot travel, and nothing else
    #: Told of each chunk of which nothing is in hand any more.
    finished: Callable[[Chunk], None] = lambda chunk: None

    def find(self, seq: int) -> Chunk | None:
        """The chunk to which `seq` belongs."""
        chunk = self.chunks.get(seq)
        if chunk is not None:
            return chunk
        for chunk in self.chunks.values():
            if chunk.seq <= seq < chunk.seq + len(chunk.marks):
                return chunk
        return None

    @property
    def spent(self) -> bool:
        """Whether it is to be replaced, and has nothing in hand any more."""
        return bool(self.condemned) and not self.chunks and not self.killed

    @property
    def exclusive(self) -> bool:
        """Whether it runs an item that must be alone."""
        return len(self.chunks) == 1 and next(iter(self.chunks.values())).piece.alone

    def done(self, chunk: Chunk, count: int) -> None:
        """`count` more items of `chunk` are accounted for."""
        chunk.left -= count
        self.in_hand -= count
        if chunk.left <= 0:
            self.chunks.pop(chunk.seq, None)
            self.finished(chunk)
