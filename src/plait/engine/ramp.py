"""`Ramp`: begins more items while those in progress only wait, hold nothing, and none of them has ended yet.

    0 ms     20        35        50        65             120
    |-- 64 --|-- 128 --|-- 256 --|-- 512 --|   ...    the first has ended: from here on, `Width` goes by goodput

To wait for the first answers before more is begun is right where a service answers: it may have enough already. Where
it only costs time - a clock, a lock, a device is waited for - items show it: they open no descriptor, hence no
connection, and compute nothing.
"""

from __future__ import annotations

import contextlib
import os
import time

from plait.fit.width import Width

__all__ = ["TICK", "Ramp"]

#: Seconds between two looks. One that comes later than so had to wait for a CPU, or for the GIL, as items may have to.
TICK, LATE = 0.01, 0.015
#: CPU seconds that it takes to begin an item in a thread of its own, and in a loop; share of the time that items which
#: wait compute at most.
BEGIN, BEGIN_IN_LOOP, IDLE = 1e-4, 2e-5, 0.3
#: One descriptor more to so many items in progress: they hold some.
HELD = 8


class Ramp:
    """Watches the first items of a crew in this process.

    Parameters:
        width: what to tell. threads: each item has one of its own.
    """

    def __init__(self, width: Width, *, threads: bool) -> None:
        self._begin = BEGIN if threads else BEGIN_IN_LOOP
        self.width = width
        self._began, self._computed, self._open = time.perf_counter(), time.process_time(), _descriptors()
        self._looked = self._began
        self.over = False

    def widens(self) -> bool:
        """Begin more, if that burdens nobody; true when `width` has changed."""
        if self.over:
            return False
        width, now, held = self.width, time.perf_counter(), _descriptors()
        if width.heard or self._open is None or held is None or held - self._open > width.width / HELD:
            self.over = True
            return False
        computed, since, self._looked = time.process_time() - self._computed, self._looked, now
        if now - since > LATE:
            return False
        return computed - self._begin * width.width < IDLE * (now - self._began) and width.unheard(now)


def _descriptors() -> int | None:
    """How many this process has open; `None`: the system does not say."""
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/self/fd"))
    return None
