"""`Reaper`: ends runs that were left, from a thread of its own.

A run that was left half-way is ended by its generator's `finally` or `__del__`. When it is part of a reference cycle,
the garbage collector calls those, in whichever thread happens to allocate: perhaps one of Plait's, inside one of its
locks. Taking another lock there would be waiting for oneself. So nothing is taken there: the run is put on a
`SimpleQueue`, whose `put` is made for that, and this thread ends it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["Reaper", "reaper"]

log = logging.getLogger("plait")

#: Seconds that who leaves a run waits for its end. Bounded: it may itself hold what the end needs (see above).
PATIENCE = 2.0


class Reaper:
    """The thread exists while any run does: `enter` and `leave` say so, outside of finalizers."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Callable[[], None], threading.Lock] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._runs = 0
        self._alive = False

    def enter(self) -> None:
        """A run begins."""
        with self._lock:
            self._runs += 1
            if not self._alive:
                self._alive = True
                threading.Thread(target=self._work, name="plait-reaper", daemon=True).start()

    def leave(self) -> None:
        """A run has ended."""
        with self._lock:
            self._runs -= 1
        self._queue.put(None)

    def end(self, close: Callable[[], None], *, wait: bool = True) -> None:
        """Call `close` in the reaper's thread. Safe in a finalizer, in any thread, under any lock."""
        done = threading.Lock()
        done.acquire()
        self._queue.put((close, done))
        if wait and not threading.current_thread().name.startswith("plait-"):
            done.acquire(timeout=PATIENCE)

    def _work(self) -> None:
        while True:
            order = self._queue.get()
            if order is not None:
                close, done = order
                try:
                    close()
                except BaseException:  # of the user's: a source that raises when it is closed
                    log.exception("A run that was left could not be ended properly.")
                finally:
                    done.release()
                del order, close, done
            with self._lock:
                if self._runs <= 0 and self._queue.empty():
                    self._alive = False
                    return


_reapers: dict[int, Reaper] = {}


def reaper() -> Reaper:
    """This process's reaper; a forked child has its own."""
    found = _reapers.get(os.getpid())
    return found if found is not None else _reapers.setdefault(os.getpid(), Reaper())
