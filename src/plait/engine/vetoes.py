"""What the machine has to say while a run adapts: who holds the GIL, and how many descriptors are left."""

from __future__ import annotations

import contextlib
import os
import time

from plait.fit.canary import Canary
from plait.fit.evidence import gil_held

__all__ = ["by_descriptors", "watch_gil"]

#: Seconds to watch the GIL for.
WATCH = 0.05
#: Share of the descriptors that a process may have open.
DESCRIPTORS = 0.8


def watch_gil() -> float | None:
    """The share of the time for which the GIL is held, by whomever."""
    with Canary() as canary:
        time.sleep(WATCH)
    return gil_held(canary.ticks)


def by_descriptors(width: int) -> tuple[int, str]:
    """How many items may be in progress before the process runs out of file descriptors."""
    try:
        import resource

        allowed = DESCRIPTORS * resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        taken = 0
        with contextlib.suppress(OSError):
            taken = len(os.listdir("/proc/self/fd"))
    except ImportError:
        return width, ""
    if taken <= allowed:
        return width, ""
    return max(1, int(width * allowed / taken * 0.9)), "the process would run out of file descriptors"
