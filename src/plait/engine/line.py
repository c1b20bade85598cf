"""`Line`: items that wait for a seat, and how they are shared out among the seats."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection
from typing import Any

from plait.engine.pieces import Piece, Post
from plait.policy.chunks import Sizer
from plait.policy.gate import Gate

__all__ = ["Line"]

#: Seconds of work that are not shared out further, however few items wait: sending them would cost more.
LEAST = 0.001
#: Below this many seconds a chunk is over before the next one would arrive: a worker gets two.
PREFETCH = 0.04


class Line:
    """Items in the order of the source, and before them those that are to be run again.

    Where there is a gate, all of them wait there instead, each by itself.

    Parameters:
        sizer: proposes how many items travel together.

    Concurrency: `offer` belongs to the source's thread; everything else happens under the lane's lock.
    """

    def __init__(self, sizer: Sizer) -> None:
        self.sizer = sizer
        self.ready: deque[Any] = deque()
        self.again: deque[Piece] = deque()
        self.alone: deque[Piece] = deque()  # those that nothing else may be in hand with
        self.here: deque[Piece] = deque()  # those that cannot travel
        self.first = 0  # index of ready[0], unless a gap begins there
        self.gaps: deque[list[int]] = deque()  # [index, count] of items that need not be run, in order
        self.gate: Gate | None = None  # what each item needs leave of to begin; then `ready` stays empty
        self.single = False  # items go one by one, and only where they begin at once
        self._seq = 0
        self.offer = self.ready.append
        self.limit: int | None = None  # items in progress at once in one seat, while a trial is on

    def __bool__(self) -> bool:
        return bool(self.ready or self.again or self.alone or self.here)

    @property
    def enough(self) -> int:
        """How many waiting items are worth a look at the seats while all of them work."""
        return max(1, self.sizer.size // 4)

    def number(self, count: int) -> int:
        """The first of `count` new sequence numbers."""
        first, self._seq = self._seq, self._seq + count
        return first

    def put_back(self, piece: Piece, *, first: bool = False) -> None:
        """`piece` is to be run (again), before the source's items; with `first`, before the others that are."""
        if self.gate is not None:
            self.gate.line_up(piece, piece.keys, first=True)
            return
        queue = self.here if piece.here else self.alone if piece.alone else self.again
        if first:
            queue.appendleft(piece)
        else:
            queue.append(piece)

    def begin(self, index: int) -> None:
        """The next item that will be offered is `index`; those before it were run elsewhere."""
        self.first = index
        self.gaps.clear()

    def skip(self, index: int) -> None:
        """The next item, `index`, need not be run. Under the lock, in the source's thread."""
        if self.gate is not None:  # each item waits there under its own index
            return
        last = self.gaps[-1] if self.gaps else None
        if last is not None and last[0] + last[1] == index:
            last[1] += 1
        else:
            self.gaps.append([index, 1])

    def _next_index(self) -> tuple[int, int]:
        """Index of `ready[0]`, and how many items follow it without a gap (or more)."""
        while self.gaps and self.gaps[0][0] == self.first:
            self.first += self.gaps.popleft()[1]
        return self.first, self.gaps[0][0] - self.first if self.gaps else len(self.ready)

    def room(self, post: Post, posts: Collection[Post]) -> int:
        """How many items a seat should get now."""
        if post.condemned or post.held or post.exclusive:
            return 0
        if post.spare:
            return max(0, post.seat.width - post.in_hand) if self.here else 0
        if post.in_hand and self.alone and self._reserved(post, posts):
            return 0
        if self.gate is not None or self.single:  # what has leave to begin begins: it waits in no seat
            return max(0, post.seat.width - post.in_hand)
        size, width, style = self.sizer.size, post.seat.width, post.seat.style
        if style == "serial":
            depth = 2 if 0 < self.sizer.chunk_seconds < PREFETCH else 1
            return size if len(post.chunks) < depth else 0
        if self.limit is not None:  # a trial: one share at a time
            return 0 if post.in_hand else size
        # Of many at once some are always between two items: a few more wait in the seat itself.
        spare = size * width if size > 1 else max(1, width // 4)
        if self.sizer.chunk_seconds > PREFETCH and len(posts) > 1:
            spare = 0
        room = (width * size if style == "threads" else width) + spare - post.in_hand
        return room if room >= min(size, max(1, width // 8)) else 0

    def _reserved(self, post: Post, posts: Collection[Post]) -> bool:
        """Whether a seat must first become empty for an item that has to be alone, which else never got its turn."""
        able = [other for other in posts if not (other.condemned or other.spare)]
        return post is min(able, key=lambda other: other.in_hand / other.seat.width)

    def next(self, post: Post, room: int, posts: Collection[Post]) -> Piece | None:
        """The next items for a seat that has room for `room`."""
        if post.spare:
            return self.here.popleft() if self.here else None
        if self.alone and not post.in_hand and (post.seat.can_kill or not self.alone[0].crashes):
            return self.alone.popleft()
        if self.gate is not None:
            return self._with_leave(self.gate, post)
        if self.again:
            return self.again.popleft() if len(self.again[0].items) <= room else self.again[0].split(room)
        count = min(room, len(self.ready), 1) if self.single else min(room, len(self.ready))
        if not count:
            return None
        if len(posts) > 1 or post.seat.style == "threads":
            shares = sum(other.seat.width for other in posts)
            share = -(-len(self.ready) * post.seat.width // (2 * shares))
            count = min(count, max(share, self.sizer.worth(LEAST), 1))
        take = self.ready.popleft
        if self.gaps:
            count = min(count, self._next_index()[1])
        piece = Piece(self.first, [take() for _ in range(count)])
        self.first += count
        return piece

    def _with_leave(self, gate: Gate, post: Post) -> Piece | None:
        for piece in gate.take(time.monotonic(), 1):
            free = not piece.alone or (not post.in_hand and (post.seat.can_kill or not piece.crashes))
            if free and not piece.here:
                return piece
            (self.here if piece.here else self.alone).append(piece)
        return None

    def clear(self) -> None:
        """Forget everything."""
        self.ready.clear()
        self.again.clear()
        self.alone.clear()
        self.here.clear()
        if self.gate is not None:
            self.gate.clear()
