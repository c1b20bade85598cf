"""A thread that should wake every millisecond: when it wakes late for want of the GIL, somebody was holding it.

    driver   |== item, in Python ==========|== item ...      holds the GIL; gives it up after 5 ms when asked
    canary   |..1 ms..|--waits for the GIL--|..1 ms..|---    late = waited - time without a CPU

An item that sleeps, hashes or compresses lets the GIL go, and the canary wakes on time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from types import TracebackType

from plait.fit.evidence import TICK, Tick
from plait.machine.clocks import ThreadClock

__all__ = ["Canary"]

SLEEP = 0.001
#: After this many ticks, it looks for a tenth of the time only: long items keep it alive for long.
EAGER, BURST, PAUSE = 500, 20, 0.2
#: After this many it stops for good.
MOST = 4000


class Canary:
    """Ticks while the `with` block runs.

    Parameters:
        inside: tells, in seconds that only grow, how long items have been running so far. Each tick counts by the part
            of it that fell into items, so that a slow source between them does not dilute what they do.

    **Concurrency**: `ticks` may be read from any thread. **Cost**: one thread; 3 to 5 % of a core for the first half
    second, a tenth of that afterwards; an idle thread after some 40 seconds.
    """

    def __init__(self, inside: Callable[[], float] = time.perf_counter) -> None:
        self.ticks: list[Tick] = []
        self._inside = inside
        self._ended, self._watching = threading.Lock(), threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="plait-canary", daemon=True)

    def __enter__(self) -> Canary:
        self._ended.acquire()
        self._watching.acquire()
        self._thread.start()
        # A first item that keeps the GIL to itself would otherwise be over before the canary ever looked.
        self._watching.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Releasing wakes it at once. A tick that the GIL is holding up still counts: joining lets the thread finish it.
        self._ended.release()
        self._thread.join()

    def _watch(self) -> None:
        try:
            with closing(ThreadClock()) as clock:
                while len(self.ticks) < MOST:
                    if len(self.ticks) >= EAGER and len(self.ticks) % BURST == 0 and self._sleep(PAUSE):
                        return
                    if self._tick(clock):
                        return
        finally:
            self._tell()

    def _tick(self, clock: ThreadClock) -> bool:
        """One sleep, and its record; true when the end was asked for."""
        queued, inside, begun = clock.queued(), self._inside(), time.perf_counter()
        self._tell()
        ended = self._sleep(SLEEP)
        span = time.perf_counter() - begun
        if span > SLEEP:  # else it was woken to end
            queued = clock.queued() - queued
            part = min(1.0, max(0.0, self._inside() - inside) / span)
            self.ticks.append(Tick(max(0.0, span - TICK - queued), part, begun + span, queued))
        return ended

    def _tell(self) -> None:
        """Let the one go on who waits for the first tick."""
        if not self.ticks and self._watching.locked():
            self._watching.release()

    def _sleep(self, seconds: float) -> bool:
        return self._ended.acquire(timeout=seconds)
