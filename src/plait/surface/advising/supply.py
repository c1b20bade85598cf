"""`Supply`: the items of all that is tried, each handed out once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from itertools import islice
from operator import length_hint
from types import TracebackType
from typing import Any

from plait.engine.loops import LoopThread
from plait.engine.source import Bridge, length

__all__ = ["Supply"]


class Supply:
    """Hands out the items of one iterator, to one taker after the other.

    Parameters:
        items: any iterable or async iterable; an async one is read on an event loop of this supply's own.
        most: hand out no more than so many; `None`: all there are.

    **Concurrency**: one taker at a time, in any thread. **Guarantee**: no item is handed out twice or lost on the way.
    """

    def __init__(self, items: Any, most: int | None = None) -> None:
        self.handed = 0
        #: Seconds that reading the items took.
        self.reading = 0.0
        self.ended = False
        #: What the source itself raised: that is the user's to know, whichever model was being tried.
        self.error: BaseException | None = None
        self._back: list[Any] = []
        self._most, self._length = most, _length(items)
        self._loop = LoopThread() if hasattr(items, "__aiter__") else None
        self._items: Iterator[Any] = iter(items) if self._loop is None else Bridge(aiter(items), self._loop.loop)

    def __enter__(self) -> Supply:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            self._loop.stop(2.0)

    @property
    def left(self) -> int | None:
        """Items that can still be handed out, where that is known."""
        if self.ended:
            return 0
        known = [bound for bound in (self._most, self._length) if bound is not None]
        return max(0, min(known) - self.handed) if known else None

    def some(self, count: int) -> list[Any]:
        """The next `count` items; fewer: there are no more."""
        bound = count if self._most is None else min(count, self._most - self.handed)
        items, self._back = self._back[:bound], self._back[bound:]
        began = time.perf_counter()
        try:
            items += () if self.ended else islice(self._items, bound - len(items))
        except BaseException as error:
            self.ended, self.error = True, error
            raise
        finally:
            self.reading += time.perf_counter() - began
        self.handed += len(items)
        self.ended = self.ended or len(items) < count
        return items

    def take(self) -> Any:
        """The next item.

        Raises:
            StopIteration: there is none.
        """
        for item in self.some(1):
            return item
        raise StopIteration

    def put_back(self, item: Any) -> None:
        """`item` was not used after all: it comes next."""
        self._back.append(item)
        self.handed -= 1

    def part(self, goes_on: Callable[[], bool], most: int | None, block: int = 1) -> Iterator[Any]:
        """The next items while `goes_on()`, at most `most`. Asked before items are taken: what is taken is used.

        Parameters:
            block: how many are taken at once: for items that are shorter than asking takes.
        """
        left = math.inf if most is None else most
        while left > 0 and not self.ended and goes_on():
            items = self.some(int(min(block, left)))
            left -= len(items)
            yield from items


def _length(items: Any) -> int | None:
    """Items that there are, where that is known for sure: an iterator of a list or a range knows it, too."""
    known = length(items)
    if known is None and type(items).__module__ == "builtins" and type(items).__name__.endswith("iterator"):
        known = length_hint(items, -1)
    return known if known is None or known >= 0 else None
