"""What lies between two stages: results that are taken apart, gathered into batches or windows, written to a sink.

Each takes an iterator and gives one. A `Failure` of a stage before (`on_error="return"`) passes all of them by.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from plait.engine.outlet import GLANCE
from plait.failure import Failure

__all__ = ["Batched", "Regroup", "Window", "Windowed", "Writing", "Written", "flatten", "unbatch"]

#: From an iterator to another one.
Regroup = Callable[[Iterator[Any]], Iterator[Any]]


class Window(list[Any]):
    """The items that came in a span of time.

    Attributes:
        start, end: the span's bounds, in seconds since the epoch; `end` is when it closed, if a count closed it before.
    """

    def __init__(self, items: Iterable[Any] = (), start: float = 0.0, end: float = 0.0) -> None:
        super().__init__(items)
        self.start, self.end = start, end

    def __reduce__(self) -> Any:
        return Window, (list(self), self.start, self.end)


def flatten(results: Iterator[Any]) -> Iterator[Any]:
    """The results of results."""
    return itertools.chain.from_iterable((result,) if type(result) is Failure else result for result in results)


def unbatch(items: Iterator[Any]) -> Iterator[Any]:
    """The members of batches.

    Raises:
        TypeError: an item is no batch.
    """
    for item in items:
        if type(item) is Failure:
            yield item
        elif isinstance(item, str | bytes) or not hasattr(item, "__iter__"):
            raise TypeError(f".unbatch() takes lists or other iterables apart; got {type(item).__name__!r}.")
        else:
            yield from item


@dataclass(frozen=True, slots=True)
class Batched:
    """Lists of `count` items (the last may be shorter), closed `within` seconds of their first one."""

    count: int
    within: float | None = None

    def __call__(self, items: Iterator[Any]) -> Iterator[Any]:
        """Batches of `items`."""
        return self._counted(items) if self.within is None else self._timed(items, self.within)

    def _counted(self, items: Iterator[Any]) -> Iterator[Any]:
        batch: list[Any] = []
        for item in items:
            if type(item) is Failure:
                yield item
                continue
            batch.append(item)
            if len(batch) == self.count:
                yield batch
                batch = []
        if batch:
            yield batch

    def _timed(self, items: Iterator[Any], within: float) -> Iterator[Any]:
        with _Pump(items, 2 * self.count) as pump:
            batch: list[Any] = []
            until = math.inf
            while (item := pump.get(until)) is not _END:
                if type(item) is Failure:
                    yield item
                    continue
                if item is not _LATE:
                    batch.append(item)
                    if len(batch) == 1:
                        until = time.monotonic() + within
                if len(batch) == self.count or (batch and time.monotonic() >= until):
                    yield batch
                    batch, until = [], math.inf
            if batch:
                yield batch


@dataclass(frozen=True, slots=True)
class Windowed:
    """Windows that follow each other without overlap: spans of `seconds` since the epoch, or of so many items.

    With both, whichever is full first closes the window. A span in which nothing came has no window.
    """

    seconds: float | None = None
    items: int | None = None
    clock: Callable[[], float] = time.time

    def __call__(self, items: Iterator[Any]) -> Iterator[Any]:
        """Windows of `items`."""
        with _Pump(items, max(1024, self.items or 0), self.clock) as pump:
            window, end, last = Window(), math.inf, -math.inf
            while (item := pump.get(self._until(end))) is not _END:
                now = self.clock() if item is _LATE else pump.came
                if window and now >= end:
                    window.end = last = end
                    yield window
                    window, end = Window(), math.inf
                if type(item) is Failure:
                    yield item
                    continue
                if item is _LATE:
                    continue
                if not window:
                    window.start, end = self._span(now, last)
                window.append(item)
                if len(window) == self.items:
                    window.end = last = max(now, window.start)
                    yield window
                    window, end = Window(), math.inf
            if window:
                window.end = max(window.start, min(end, self.clock()))
                yield window

    def _until(self, end: float) -> float:
        return math.inf if end == math.inf else time.monotonic() + max(0.0, end - self.clock())

    def _span(self, now: float, last: float) -> tuple[float, float]:
        """Bounds of the window of an item that came `now`, the one before having ended at `last`."""
        if self.seconds is None:
            return now, math.inf
        if last - self.seconds <= now < last:  # it came while that was being closed (or else the clock was set back)
            now = last
        start = math.floor(now / self.seconds) * self.seconds
        return (last if start < last < start + self.seconds else start), start + self.seconds


@dataclass(frozen=True, slots=True)
class Written:
    """What goes through it is written to `sink`; see `Writing`."""

    sink: AbstractContextManager[Any]

    def __call__(self, items: Iterator[Any]) -> Iterator[Any]:
        """`items`, which are written on the way."""
        return Writing(self.sink)(items)


class Writing:
    """Writes every item to `sink`, in one run, and passes it on.

    The sink is completed by who runs it, once the whole run is complete: stages behind it may still fail when the last
    item has been written.
    """

    def __init__(self, sink: AbstractContextManager[Any]) -> None:
        self._sink = sink
        self._open = False

    def __call__(self, items: Iterator[Any]) -> Iterator[Any]:
        """The same `items`, each written."""
        writer = self._sink.__enter__()
        self._open = True
        for item in items:
            if type(item) is not Failure:
                writer.write(item)
            yield item

    def complete(self) -> None:
        """All was written, and all else went well."""
        if self._open:
            self._open = False
            self._sink.__exit__(None, None, None)

    def abandon(self, error: BaseException) -> None:
        """The run has ended with `error`. No effect on a sink that was completed."""
        if self._open:
            self._open = False
            self._sink.__exit__(type(error), error, error.__traceback__)


_END, _LATE = object(), object()


class _Pump:
    """Reads an iterator in a thread of its own, so that whoever gets from it need not wait for the next item.

    Parameters:
        room: items that may wait.
        clock: what says when each item came.

    Attributes:
        came: when the item that `get` gave last did.
    """

    def __init__(self, items: Iterator[Any], room: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._items, self._room, self._clock = items, room, clock
        self.came = 0.0
        self._waiting: deque[tuple[Any, float]] = deque()
        self._lock = threading.Condition(threading.Lock())
        self._ended = self._left = False
        self._error: BaseException | None = None

    def __enter__(self) -> _Pump:
        run = copy_context().run  # the stage before may be run by who reads it
        threading.Thread(target=run, args=(self._read,), name="plait-pump", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._left = True
            self._waiting.clear()
            self._lock.notify_all()

    def get(self, until: float) -> Any:
        """The next item; `_LATE` if there is none at `until` (`time.monotonic()` seconds); `_END` after the last."""
        with self._lock:
            while not self._waiting:
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return _END
                left = until - time.monotonic()
                if left <= 0:
                    return _LATE
                self._lock.wait(min(left, GLANCE))  # a signal may be waiting to be handled, too
            item, self.came = self._waiting.popleft()
            if len(self._waiting) == self._room // 2:
                self._lock.notify_all()
            return item

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                with self._lock:
                    self._waiting.append((item, self._clock()))
                    if len(self._waiting) == 1:
                        self._lock.notify_all()
                    while len(self._waiting) >= self._room and not self._left:
                        self._lock.wait()
                    if self._left:
                        return
        except BaseException as raised:
            error = raised
        with self._lock:
            self._ended, self._error = True, error
            self._lock.notify_all()
