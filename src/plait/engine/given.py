"""`Given`: the items that a flow was given, whose errors are kept for its end.

A clock around every item would cost half as much again as a tiny stage does: the process's ticker looks at whether the
source is at work, as `Drift` does of a serial run.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

from plait.engine.figures import Figures
from plait.sync.ticker import ticker

__all__ = ["AsyncGiven", "Given", "given"]

#: Iterables that raise nothing; reading them costs no detour.
_SURE = (list, tuple, range)
#: Seconds between two looks.
LOOK = 0.025


class Given:
    """The user's items. What they raise only ends them here: it is told at the end, after the results of what was read.

    Attributes:
        error: what they raised.
        figures: told how long reading them took; `None`: nobody is.
    """

    def __init__(self, items: Any) -> None:
        self._given, self.error = items, cast("Exception | None", None)
        self.figures: Figures | None = None

    def __iter__(self) -> Iterator[Any]:
        self.took(0.0)
        if type(self._given) in _SURE:
            return iter(self._given)
        watch: list[Callable[[], None]] = []
        reading = self._read(watch)
        if self.figures is not None:
            watch.append(self._look(weakref.ref(reading)))
        return reading

    def _read(self, watch: list[Callable[[], None]]) -> Iterator[Any]:
        offs = [ticker().every(LOOK, look) for look in watch]
        try:
            yield from self._given
        except Exception as error:
            self.error = error
        finally:
            for off in offs:
                off()

    def _look(self, reading: Callable[[], Any]) -> Callable[[], None]:
        """What adds the time since the look before, where the source is at work."""
        last = time.perf_counter()

        def look() -> None:
            nonlocal last
            before, last = last, time.perf_counter()
            if getattr(reading(), "gi_running", False):
                self.took(min(last - before, 2 * LOOK))  # not since a pause of the whole machine

        return look

    def took(self, seconds: float) -> None:
        """Reading took so much longer."""
        if self.figures is not None:
            self.figures.reading = (self.figures.reading or 0.0) + seconds


class AsyncGiven(Given):
    """The same of an async iterable."""

    def __len__(self) -> int:
        return len(self._given)

    def __aiter__(self) -> AsyncIterator[Any]:
        self.took(0.0)
        return _Reading(aiter(self._given), self)


class _Reading:
    """One reading of an async iterable. Not an async generator: whoever leaves one has to close it."""

    def __init__(self, items: AsyncIterator[Any], whole: AsyncGiven) -> None:
        self._items, self._whole = items, whole

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> Any:
        began = time.perf_counter()
        try:
            return await anext(self._items)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self._whole.error = error
            raise StopAsyncIteration from None
        finally:
            self._whole.took(time.perf_counter() - began)


def given(items: Any) -> Given:
    """`items`, an iterable or async iterable, with their errors kept apart."""
    return AsyncGiven(items) if hasattr(items, "__aiter__") else Given(items)
