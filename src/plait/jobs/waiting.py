"""`Awaiting`: one thread of a process that waits for the ends of all jobs whose results are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from plait.errors import PlaitError
from plait.jobs.records import Ended
from plait.jobs.store import Store

__all__ = ["Awaiting"]

#: Seconds between two looks at the store, when nothing is heard: from, to.
LOOK = 0.002, 0.25
#: Seconds without anybody who waits after which the thread ends.
IDLE = 5.0


class Awaiting:
    """Futures of jobs' ends.

    Concurrency: safe from any thread.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wanted: dict[int, list[Future[Ended | None]]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake: Callable[[], None] = lambda: None

    def end_of(self, job: int) -> Future[Ended | None]:
        """The end of a job; `None`: it is not known any more."""
        future: Future[Ended | None] = Future()
        with self._lock:
            self._wanted.setdefault(job, []).append(future)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="plait-results", daemon=True)
                self._thread.start()
        self._wake()
        return future

    def forget(self, job: int, future: Future[Ended | None]) -> None:
        """Nobody waits for this any more."""
        with self._lock:
            futures = self._wanted.get(job, [])
            if future in futures:
                futures.remove(future)
            if not futures:
                self._wanted.pop(job, None)

    def _work(self) -> None:
        store = self._store
        listener = store.listen(ends=True)
        self._wake = listener.wake
        try:
            pause, idle_since = LOOK[0], time.monotonic()
            while True:
                if self._look(store):
                    pause, idle_since = LOOK[0], time.monotonic()
                with self._lock:
                    if self._wanted:
                        idle_since = time.monotonic()
                    elif time.monotonic() - idle_since > IDLE:
                        self._thread = None
                        return
                pause = LOOK[0] if listener.wait(pause if self._wanted else IDLE) else min(LOOK[1], pause * 1.5)
        except BaseException as error:
            self._fail(error)
        finally:
            listener.close()

    def _look(self, store: Store) -> bool:
        with self._lock:
            wanted = list(self._wanted)
        if not wanted:
            return False
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

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            futures = [future for waiting in self._wanted.values() for future in waiting]
            self._wanted.clear()
            self._thread = None
        said = (
            error if isinstance(error, PlaitError | OSError) else RuntimeError(f"waiting for results broke: {error!r}")
        )
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_exception(said)
