"""The same flow over the first items of its source only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any, TypeVar

from plait.failure import shown
from plait.surface.calls import total_of
from plait.surface.flow import Flow

__all__ = ["First", "first"]

T = TypeVar("T")


class First:
    """The first `count` items of an iterable."""

    def __init__(self, items: Any, count: int) -> None:
        self._items, self._count = items, count

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self._items), self._count)

    def __len__(self) -> int:
        return min(len(self._items), self._count)

    def total_hint(self) -> int:
        """About how many there are."""
        total = total_of(self._items)
        return self._count if total is None else min(total, self._count)

    def __repr__(self) -> str:
        return f"the first {self._count:,} of {shown(self._items)}"


class FirstAsync(First):
    """The same of an async iterable."""

    __iter__ = None  # type: ignore[assignment]

    async def __aiter__(self) -> AsyncIterator[Any]:
        left = self._count
        if left:
            async for item in self._items:
                yield item
                left -= 1
                if not left:
                    return


def first(flow: Flow[T], count: int) -> Flow[T]:
    """`flow` over the first `count` items of its source."""
    only = FirstAsync if hasattr(flow._items, "__aiter__") else First
    return Flow(only(flow._items, count), flow._before, flow._steps)
