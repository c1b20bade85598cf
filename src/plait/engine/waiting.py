"""`Waiting`: items that are tried again at a later time. They cost a heap's entry each, and one timer together."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable

from plait.engine.pieces import Piece
from plait.sync.ticker import ticker

__all__ = ["Waiting"]


class Waiting:
    """Items by the time at which they are due. Used under the lane's lock.

    Parameters:
        due: called from the process's ticker, without the lock, when some are.
    """

    def __init__(self, due: Callable[[], None]) -> None:
        self._due = due
        self._heap: list[tuple[float, int, Piece]] = []
        self._count = itertools.count()
        self._off: Callable[[], None] | None = None

    def __bool__(self) -> bool:
        return bool(self._heap)

    def put(self, delay: float, item: Piece) -> None:
        """`item` is due in `delay` seconds."""
        entry = (time.monotonic() + delay, next(self._count), item)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._arm()

    def take(self) -> list[Piece]:
        """Those that are due now; the timer is set for the next."""
        now, items = time.monotonic(), []
        while self._heap and self._heap[0][0] <= now:
            items.append(heapq.heappop(self._heap)[2])
        self._arm()
        return items

    def clear(self) -> None:
        """Forget all, and the timer."""
        self._heap.clear()
        self._arm()

    def _arm(self) -> None:
        if self._off is not None:
            self._off()
        self._off = ticker().at(self._heap[0][0], self._due) if self._heap else None
