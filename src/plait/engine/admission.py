"""`Admission`: which items need not be run: they failed before, went by this stage, or are in the journal."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from plait.engine.fuse import Through
from plait.engine.outlet import Segment
from plait.failure import Failure

__all__ = ["Admission", "Pages"]


class Pages(Protocol):
    """What a journal remembers of one stage."""

    def key(self, item: Any) -> bytes:
        """What an item is known by."""
        ...

    def unchanged(self, item: Any, key: bytes) -> None:
        """Of a tap or a filter only the verdict is remembered: refuse one that has changed its item."""
        ...

    def take(self, key: bytes) -> tuple[bool, Any]:
        """Whether a result is there for one more item of this key, and the result."""
        ...

    def put(self, key: bytes, value: Any) -> None:
        """Remember a result."""
        ...


class Admission:
    """Looks at every item of a stage before it may run.

    Parameters:
        passes: failures of stages before (`on_error="return"`) pass this one by.
        pages: what the journal remembers of this stage; `None`: there is no journal.
        returns_item: results are the items themselves, or (`spread`) lists of the item or nothing: only that is kept.

    Concurrency: `look` and `number` belong to who reads the source; `record` is safe from any thread.
    """

    def __init__(
        self, passes: bool, pages: Pages | None = None, *, returns_item: bool = False, spread: bool = False
    ) -> None:
        self.passes, self.pages = passes, pages
        self._returns_item, self._spread = returns_item, spread
        self._keys: dict[int, bytes] = {}  # of items on their way
        self._fresh: deque[bytes] = deque()  # of those that a probe runs, which have no index yet
        self.replayed = 0

    def look(self, item: Any, index: int | None = None) -> tuple[bool, Any]:
        """Whether the item need not be run, and what stands for it.

        The key is made now: the function may change the item.

        Parameters:
            index: the item's; `None`: `number` will tell.
        """
        if type(item) is Through:
            return True, item.past()
        if self.passes and type(item) is Failure:
            return True, item
        if self.pages is None:
            return False, None
        key = self.pages.key(item)
        known, value = self.pages.take(key)
        if known:
            self.replayed += 1
            if self._returns_item:
                value = [item] * value if self._spread else item
        elif index is None:
            self._fresh.append(key)
        else:
            self._keys[index] = key
        return known, value

    def number(self, index: int) -> None:
        """The first item that was looked at without an index has this one."""
        if self._fresh:
            self._keys[index] = self._fresh.popleft()

    def forget(self) -> None:
        """Items without an index will be looked at again."""
        self._fresh.clear()

    def record(self, segments: list[Segment]) -> None:
        """Results came: remember those of items that have one."""
        if self.pages is None:
            return
        for start, count, values in segments:
            for at in range(count):
                key = self._keys.pop(start + at, None)
                if key is not None and len(values) == count and type(values[at]) is not Failure:
                    value = values[at]
                    if self._returns_item:
                        for kept in value if self._spread else (value,):
                            self.pages.unchanged(kept, key)
                        value = len(value) if self._spread else 1
                    self.pages.put(key, value)
