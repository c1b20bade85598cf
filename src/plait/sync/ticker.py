"""`Ticker`: calls functions at times, from one thread for the whole process."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable

__all__ = ["Ticker", "ticker"]

log = logging.getLogger("plait")


class Ticker:
    """Timers on one thread, made when the first timer is set and gone when none is left for a second.

    Concurrency: safe from any thread. The functions must be short: they share the thread.
    """

    IDLE = 1.0
    #: Seconds to wait at once: the system cannot wait for ever.
    LONGEST = 3600.0

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._alive = False

    def at(self, when: float, call: Callable[[], object]) -> Callable[[], None]:
        """Call `call()` at `when` (`time.monotonic()` seconds); returns what calls it off."""
        entry = (when, next(self._count), call)
        with self._wake:
            heapq.heappush(self._heap, entry)
            if not self._alive:
                self._alive = True
                threading.Thread(target=self._run, name="plait-ticker", daemon=True).start()
            elif self._heap[0] is entry:
                self._wake.notify()
        return lambda: self._off(entry)

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

    def _off(self, entry: tuple[float, int, Callable[[], object]]) -> None:
        with self._lock:  # the plain lock: Ctrl-C inside a Condition's own lines would leave it taken
            if entry in self._heap:
                self._heap.remove(entry)
                heapq.heapify(self._heap)

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._heap and not self._wake.wait_for(lambda: self._heap, self.IDLE):
                    self._alive = False
                    return
                when, _, call = self._heap[0]
                now = time.monotonic()
                if when > now:
                    self._wake.wait(min(when - now, self.LONGEST))
                    continue
                heapq.heappop(self._heap)
            try:
                call()
            except Exception:
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
