"""`Awaiting`: one thread of a process that waits for the ends of all jobs whose results are asked for."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from plait.errors import PlaitError, StoreError
from plait.jobs.records import Ended
from plait.jobs.store import Listener, Store

__all__ = ["Awaiting"]

#: Seconds between two looks at the store, when nothing is heard: from, to.
LOOK = 0.002, 0.25
#: Seconds without anybody who waits after which the thread ends.
IDLE = 5.0
_CLOSED = "The store was closed while this result was waited for; the job goes on."


def _nobody() -> None:
    """Nobody is to be woken."""


class Awaiting:
    """Futures of jobs' ends.

    Concurrency: safe from any thread.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wanted: dict[int, list[Future[Ended | None]]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake: Callable[[], None] = _nobody
        self._closed = False

    def end_of(self, job: int) -> Future[Ended | None]:
        """The end of a job; `None`: it is not known any more. Fails with `StoreError` where the store does."""
        future: Future[Ended | None] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(StoreError(_CLOSED))
                return future
            self._wanted.setdefault(job, []).append(future)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="plait-results", daemon=True)
                self._thread.start()
            wake = self._wake
        wake()
        return future

    def forget(self, job: int, future: Future[Ended | None]) -> None:
        """Nobody waits for this any more."""
        with self._lock:
            futures = self._wanted.get(job, [])
            if future in futures:
                futures.remove(future)
            if not futures:
                self._wanted.pop(job, None)

    def close(self) -> None:
        """Wait no more: the store is about to be closed."""
        with self._lock:
            self._closed = True
            thread, wake = self._thread, self._wake
        wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)
        self._fail(StoreError(_CLOSED))

    # --- the thread -------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        listener: Listener | None = None
        try:
            listener = self._store.listen(ends=True)
            with self._lock:
                self._wake = listener.wake
            self._watch(listener)
        except BaseException as error:
            if isinstance(error, PlaitError):
                self._fail(error)
            else:
                self._fail(StoreError(f"Waiting for results broke: {type(error).__name__}: {error}"))
        finally:
            if listener is not None:
                listener.close()

    def _watch(self, listener: Listener) -> None:
        pause, idle_since = LOOK[0], time.monotonic()
        while not self._closed:
            began = time.monotonic()
            if self._look():
                pause, idle_since = LOOK[0], began
            now = time.monotonic()
            with self._lock:
                if self._wanted:
                    idle_since = now
                elif now - idle_since > IDLE:
                    self._thread, self._wake = None, _nobody
                    return
            # Where many are waited for a look is long: it is not to take more than half of the time.
            pause = max(pause, min(LOOK[1], now - began))
            pause = LOOK[0] if listener.wait(pause if self._wanted else IDLE) else min(LOOK[1], pause * 1.5)

    def _look(self) -> bool:
        with self._lock:
            wanted = list(self._wanted)
        if not wanted:
            return False
        store = self._store
        found: dict[int, Ended | None] = {ended.id: ended for ended in store.ended(wanted)}
        missing = [job for job in wanted if job not in found]
        if missing:
            known = store.states(missing)
            # One that ended between the two is there now.
            gone = [job for job in missing if job not in known]
            if gone:
                again = {ended.id: ended for ended in store.ended(gone)}
                found |= {job: again.get(job) for job in gone}
        for job, ended in found.items():
            with self._lock:
                futures = self._wanted.pop(job, [])
            for future in futures:
                if future.set_running_or_notify_cancel():
                    future.set_result(ended)
        return bool(found)

    def _fail(self, error: PlaitError) -> None:
        with self._lock:
            futures = [future for waiting in self._wanted.values() for future in waiting]
            self._wanted.clear()
            self._thread, self._wake = None, _nobody
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_exception(copy.copy(error))  # each is raised in a thread of its own
