"""`Outlet`: where results wait for the consumer, in order if asked; what bounds how far the source is read ahead."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, cast

__all__ = ["GLANCE", "Outlet", "Segment"]

#: Items that there must be room for at most before the source is woken: a slow consumer frees few at a time.
WAKE = 32

#: Seconds after which a waiting consumer looks up. CPython runs signal handlers between instructions: one that comes
#: when the main thread is about to wait for a lock, but does not yet, would only be handled once the lock is free.
GLANCE = 0.5

#: First index, how many items it accounts for, and their results (fewer where failures were left out).
Segment = tuple[int, int, list[Any]]


class Outlet:
    """Results on their way to the consumer.

    Parameters:
        ordered: hold back results until all before them are there.
        buffer: items that may have been read from the source and not yet been taken by the consumer, those held back
            to keep order included.

    Concurrency: every method is safe from any thread. The consumer is one thread or one coroutine.
    """

    def __init__(self, ordered: bool, buffer: int) -> None:
        self.ordered, self.buffer = ordered, buffer
        # A plain lock, not a Condition: Ctrl-C between a Condition's own Python lines would leave it taken for ever.
        self._lock = threading.Lock()
        self._ready: deque[Segment] = deque()
        self._held: dict[int, Segment] = {}
        self._next = 0  # the first item that is not ready; where nothing is held back, how many were
        self._handed = 0  # the consumer has these, but may not have looked at them yet
        self.taken = 0  # items that the consumer is done with
        self._over = False
        self._error: BaseException | None = None
        self._failed = False
        self._consumers: list[Callable[[], object]] = []  # what wakes the consumer that waits
        self._sources: list[Callable[[], object]] = []  # what wakes the source that does
        self.on_failed: Callable[[BaseException], None] = lambda error: None

    # --- results in -------------------------------------------------------------------------------------------------

    def put(self, segments: list[Segment]) -> None:
        """Results came."""
        with self._lock:
            if not self.ordered:
                self._ready.extend(segments)
                self._next += sum(count for _, count, _ in segments)
            else:
                for segment in segments:
                    if segment[0] != self._next:
                        self._held[segment[0]] = segment
                        continue
                    following: Segment | None = segment
                    while following is not None:
                        self._ready.append(following)
                        self._next += following[1]
                        following = self._held.pop(self._next, None)
            if self._ready:
                self._tell()

    def finish(self, error: BaseException | None = None) -> None:
        """No more results will come; with `error`, that is raised once what is ready has been taken."""
        with self._lock:
            first = not self._over
            if first:
                self._over, self._error, self._failed = True, error, error is not None
                self._tell()
                self._freed()
        if first and error is not None:
            self.on_failed(error)

    def resume(self, read: int) -> None:
        """Results come again, from the item `read` on: those before it were consumed."""
        with self._lock:
            self._over = False
            self._next = self.taken = read
            self._handed = 0

    def _tell(self) -> None:
        if self._consumers:
            calls, self._consumers = self._consumers, []
            for call in calls:
                call()

    def _freed(self) -> None:
        if self._sources:
            calls, self._sources = self._sources, []
            for call in calls:
                call()

    # --- results out ------------------------------------------------------------------------------------------------

    def take(self) -> list[Any] | None:
        """The next results, waiting for them; `None` at the end. What was handed over before counts as consumed now.

        Raises:
            BaseException: what the run failed with.
        """
        while True:
            with self._lock:
                results = self._take()
                if results is not _NOTHING:
                    return cast("list[Any] | None", results)
                gate = _gate(self._consumers)
            while not gate.acquire(timeout=GLANCE):
                pass

    async def take_async(self) -> list[Any] | None:
        """The same for a consumer on an event loop."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                results = self._take()
                if results is not _NOTHING:
                    return results
                ready = loop.create_future()
                self._consumers.append(lambda ready=ready: _wake(loop, ready))  # type: ignore[misc]
            await ready

    def _take(self) -> Any:
        if self._handed:
            self.taken += self._handed
            self._handed = 0
            self._freed()
        if self._ready:
            _, count, results = self._ready.popleft()
            self._handed += count
            if self._ready and len(results) < 64:  # slow items come one by one: hand over what has gathered meanwhile
                results = list(results)
                while self._ready and len(results) < 64:
                    _, count, values = self._ready.popleft()
                    self._handed += count
                    results += values
            return results
        if self._over:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return None
        return _NOTHING

    # --- the source -------------------------------------------------------------------------------------------------

    def room(self, offered: int) -> int:
        """How many more items may be read from the source when `offered` have been."""
        return self.buffer - (offered - self.taken)

    @property
    def backlog(self) -> int:
        """Items whose results the consumer could have, or has and is not done with."""
        return self._next - self.taken

    def has_room(self, offered: int) -> bool:
        """Whether `wait_for_room` would not wait."""
        return self.room(offered) >= self._enough

    @property
    def _enough(self) -> int:
        """How much room is worth waking the source for; looked at afresh each time, since the buffer may shrink."""
        return max(1, min(self.buffer // 4, WAKE))

    def resize(self, buffer: int) -> None:
        """Allow `buffer` items from now on; those that were read already stay."""
        if buffer != self.buffer:
            with self._lock:
                more, self.buffer = buffer > self.buffer, buffer
                if more:
                    self._freed()

    def wait_for_room(self, offered: int) -> bool:
        """Wait until a good part of the buffer is free; false when the run is over."""
        while True:
            with self._lock:
                if self._over or self.room(offered) >= self._enough:
                    return not self._over
                gate = _gate(self._sources)
            gate.acquire()

    async def wait_for_room_async(self, offered: int) -> bool:
        """The same for a source on an event loop."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                if self._over or self.room(offered) >= self._enough:
                    return not self._over
                free = loop.create_future()
                self._sources.append(lambda free=free: _wake(loop, free))  # type: ignore[misc]
            await free

    @property
    def failed(self) -> bool:
        """Whether the run ended with an error."""
        return self._failed

    @property
    def over(self) -> bool:
        """Whether no more results will come."""
        return self._over


_NOTHING = object()


def _gate(waiting: list[Callable[[], object]]) -> threading.Lock:
    """A closed gate that whoever goes through `waiting` opens."""
    gate = threading.Lock()
    gate.acquire()
    waiting.append(gate.release)
    return gate


def _wake(loop: asyncio.AbstractEventLoop, ready: asyncio.Future[None]) -> None:
    def done() -> None:
        if not ready.done():
            ready.set_result(None)

    if not loop.is_closed():
        loop.call_soon_threadsafe(done)
