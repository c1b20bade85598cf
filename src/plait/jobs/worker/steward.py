"""`Steward`: the thread of a worker for what has time: upkeep, schedules, cancellations, progress, ticks."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable

from plait.errors import PlaitError
from plait.jobs.protocol import LEASE
from plait.jobs.records import Note
from plait.jobs.store import Store

__all__ = ["Steward"]

log = logging.getLogger("plait")

#: Seconds between two rounds.
ROUND = 0.25
#: Seconds between two rounds of upkeep.
UPKEEP = 0.5
#: Seconds by which the store's clock may be off what it should be before that is a jump.
JUMP = 2.0


class Steward:
    """Goes round.

    Parameters:
        worker: its id, which changes when a lease was lost.
        stop_job: ends a job that nobody wants. tick: says that the worker is alive.
        renew: has the next tick renew the lease.
        fire: fires schedules that are due; seconds until the next is.
    """

    def __init__(
        self,
        store: Store,
        worker: Callable[[], int],
        *,
        stop_job: Callable[[int], None],
        tick: Callable[[], None],
        renew: Callable[[], None],
        fire: Callable[[], float | None],
    ) -> None:
        self.store, self._worker = store, worker
        self._stop_job, self._tick, self._renew, self._fire = stop_job, tick, renew, fire
        self._ahead: float | None = None  # the store's clock, of the one that nobody sets
        self._notes: dict[int, Note] = {}
        self._lock = threading.Lock()
        self._wakes: socket.socket | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._wakes, woken = socket.socketpair()
        self._thread = threading.Thread(target=self._work, args=(woken,), name="plait-steward", daemon=True)
        self._thread.start()

    def take(self, note: Note) -> None:
        """A job says how far it is; the last word of each is kept until the next round."""
        with self._lock:
            self._notes[note.id] = note

    def _work(self, woken: socket.socket) -> None:
        woken.setblocking(False)
        upkeep = next_fire = 0.0
        while not self._stopping:
            now = time.monotonic()
            try:
                if self._jumped(now):  # every lease may look as if it had run out: first let all renew theirs
                    self._renew()
                    upkeep, next_fire = now + LEASE / 2, 0.0
                self._tick()  # and after whatever may have had to wait long for the store
                self._tell()
                self._tick()
                for job, _ in self.store.unwanted(self._worker()):
                    self._stop_job(job)
                if now >= upkeep:
                    soon = self.store.upkeep()
                    upkeep = now + (UPKEEP if soon is None else min(UPKEEP, soon))
                    self._tick()
                if now >= next_fire:  # last: user's code has a say in it, and must not keep the store from upkeep
                    wait = self._fire()
                    next_fire = now + min(60.0, wait if wait is not None else 60.0)
            except (PlaitError, OSError) as error:
                log.debug("A round was left out: %s", error)
            except BaseException:
                log.exception("The steward stumbled; it goes on.")
            if self._doze(woken):
                upkeep = 0.0
        woken.close()

    def _doze(self, woken: socket.socket) -> bool:
        """Until the next round; whether another worker of this machine has died."""
        died = False
        try:
            died = self.store.linger(ROUND, woken.fileno())
        except (PlaitError, OSError, ValueError):  # the store was closed
            time.sleep(ROUND)
        with contextlib.suppress(OSError):
            woken.recv(4096)
        return died

    def _jumped(self, now: float) -> bool:
        """Whether the store's clock was set meanwhile, or the machine slept."""
        before, self._ahead = self._ahead, self.store.now() - now
        return before is not None and abs(self._ahead - before) > JUMP

    def _tell(self) -> None:
        with self._lock:
            notes, self._notes = list(self._notes.values()), {}
        if notes:
            self.store.note(notes)

    def look(self) -> None:
        """Go round now."""
        if self._wakes is not None:
            with contextlib.suppress(OSError):
                self._wakes.send(b"x")

    def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        self.look()
        if self._thread is not None:
            self._thread.join(5.0)
        if self._wakes is not None:
            self._wakes.close()
