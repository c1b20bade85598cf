"""`Hedging`: issues items that take unusually long a second time, and lets the first answer count.

Source: hedged requests, Dean and Barroso, "The Tail at Scale" (2013).
"""

from __future__ import annotations

from collections.abc import Iterable

from plait.engine.pieces import OPEN, Piece, Post
from plait.policy.hedge import Hedge, Stragglers

__all__ = ["LOOK", "Hedging"]

#: Seconds between two looks for stragglers.
LOOK = 0.005


class Hedging:
    """The items of a lane that are issued twice. Used under the lane's lock."""

    def __init__(self, hedge: Hedge) -> None:
        self._stragglers = Stragglers(hedge)
        self._open: dict[int, int] = {}  # index of an item that was issued twice -> how many of the two are in hand
        self._answered: set[int] = set()
        self._since: dict[int, float] = {}  # when an item that was issued twice was issued first
        self.lost: list[int] = []  # items whose other issue may be dropped

    @property
    def losers(self) -> bool:
        """Whether something is in hand that nobody waits for."""
        return bool(self._answered)

    def observed(self, index: int, sent: float, now: float) -> None:
        """The item `index` has its answer, from an attempt that began at `sent`; it counts from the first."""
        self._stragglers.observed(now - self._since.pop(index, sent))

    def look(self, posts: Iterable[Post], now: float) -> list[Piece]:
        """Second issues of what takes too long at `now`."""
        threshold, pieces = self._stragglers.threshold(), []
        if threshold is None:
            return []
        for post in posts:
            for chunk in post.chunks.values():
                piece = chunk.piece
                late = now - chunk.sent > threshold and OPEN in chunk.marks
                if late and not piece.alone and piece.start not in self._open and self._stragglers.may():
                    self._stragglers.issued()
                    self._open[piece.start] = 2
                    self._since[piece.start] = chunk.sent
                    pieces.append(piece.part(0, 1))
        return pieces

    def answered(self, index: int) -> bool:
        """Whether the other of two issues has answered."""
        return index in self._answered

    def came_to_nothing(self, index: int) -> bool:
        """Whether a second issue that is about to begin need not, since the first has answered; it is accounted for."""
        return index in self._answered and self.ignored(index, succeeded=False)

    def ignored(self, index: int, *, succeeded: bool) -> bool:
        """Whether what one of two issues came to does not count: the other has answered, or still may."""
        left = self._open.get(index)
        if left is None:
            return False
        if left > 1:
            self._open[index] = left - 1
        else:
            del self._open[index]
        if index in self._answered:
            if left == 1:
                self._answered.discard(index)
            return True
        if succeeded and left > 1:
            self._answered.add(index)
            self.lost.append(index)
        return not succeeded and left > 1
