"""`Given`: the items that a flow was given, whose errors are kept for its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

__all__ = ["AsyncGiven", "Given", "given"]

#: Iterables that raise nothing; reading them costs no detour.
_SURE = (list, tuple, range)


class Given:
    """The user's items. What they raise only ends them here: it is told at the end, after the results of what was read.

    Attributes:
        error: what they raised.
    """

    def __init__(self, items: Any) -> None:
        self._given, self.error = items, cast("Exception | None", None)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._given) if type(self._given) in _SURE else self._read()

    def _read(self) -> Iterator[Any]:
        try:
            yield from self._given
        except Exception as error:
            self.error = error


class AsyncGiven(Given):
    """The same of an async iterable."""

    def __len__(self) -> int:
        return len(self._given)

    def __aiter__(self) -> AsyncIterator[Any]:
        return _Reading(aiter(self._given), self)


class _Reading:
    """One reading of an async iterable. Not an async generator: whoever leaves one has to close it."""

    def __init__(self, items: AsyncIterator[Any], whole: AsyncGiven) -> None:
        self._items, self._whole = items, whole

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> Any:
        try:
            return await anext(self._items)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self._whole.error = error
            raise StopAsyncIteration from None


def given(items: Any) -> Given:
    """`items`, an iterable or async iterable, with their errors kept apart."""
    return AsyncGiven(items) if hasattr(items, "__aiter__") else Given(items)
