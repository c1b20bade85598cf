"""`Ticker`: calls functions at times, from one thread for the whole process."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Ticker", "ticker"]

log = logging.getLogger("plait")


#: When, in which order, and what to call; nothing once it was called off.
_Entry = list[Any]


class Ticker:
    """Timers on one thread, made when the first timer is set and gone when none is left for a second.

    Concurrency: safe from any thread. The functions must be short: they share the thread.
    """

    #: Seconds without a timer after which the thread ends, and at most between two looks at which were called off.
    IDLE = 0.5

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._count = itertools.count()
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._alive = False

    def at(self, when: float, call: Callable[[], object]) -> Callable[[], None]:
        """Call `call()` at `when` (`time.monotonic()` seconds); returns what calls it off.

        Calling off takes no lock, so that a finalizer may do it, in whichever thread the garbage collector runs.
        """
        entry: _Entry = [when, next(self._count), call]
        with self._wake:
            heapq.heappush(self._heap, entry)
            if not self._alive:
                self._alive = True
                threading.Thread(target=self._run, name="plait-ticker", daemon=True).start()
            elif self._heap[0] is entry:
                self._wake.notify()
        return lambda: entry.__setitem__(2, None)

    def every(self, seconds: float, call: Callable[[], object]) -> Callable[[], None]:
        """Call `call()` every `seconds` until called off."""
        stopped = threading.Event()
        off: list[Callable[[], None]] = []

        def again() -> None:
            if not stopped.is_set():
                try:
                    call()
                finally:
                    off[:] = [self.at(time.monotonic() + seconds, again)]

        off.append(self.at(time.monotonic() + seconds, again))

        def stop() -> None:
            stopped.set()
            for one in off:
                one()

        return stop

    def _run(self) -> None:
        while True:
            with self._wake:
                self._heap = [entry for entry in self._heap if entry[2] is not None]
                heapq.heapify(self._heap)
                if not self._heap and not self._wake.wait_for(lambda: self._heap, self.IDLE):
                    self._alive = False
                    return
                when, _, call = self._heap[0]
                now = time.monotonic()
                if when > now and call is not None:
                    self._wake.wait(min(when - now, self.IDLE))
                    continue
                heapq.heappop(self._heap)
            try:
                if call is not None:
                    call()
            except BaseException:
                log.exception("A timer of Plait failed.")
            del call


_ticker: tuple[int, Ticker] | None = None
_lock = threading.Lock()


def ticker() -> Ticker:
    """This process's ticker, made when first asked for; a forked child gets its own."""
    global _ticker
    with _lock:
        if _ticker is None or _ticker[0] != os.getpid():
            _ticker = (os.getpid(), Ticker())
        return _ticker[1]
