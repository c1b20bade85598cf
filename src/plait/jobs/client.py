"""`Client`: a process's way to a store: opened when it is first needed, and anew in a forked child."""

from __future__ import annotations

import os
import threading

from plait.jobs.open import checked_url, open_store
from plait.jobs.store import Store
from plait.jobs.waiting import Awaiting

__all__ = ["Client"]


class Client:
    """What `Jobs`, its tasks and its handles share.

    Parameters:
        url: of the store. store: one that is open already, for `url`.

    Raises:
        OptionError: the URL is none that is known.

    Concurrency: safe from any thread.
    """

    def __init__(self, url: str, store: Store | None = None) -> None:
        self.url = checked_url(url)
        self._given = store
        self._open: tuple[int, Store, Awaiting] | None = None
        self._lock = threading.Lock()

    @property
    def store(self) -> Store:
        """The store."""
        return self._opened()[1]

    @property
    def awaiting(self) -> Awaiting:
        """Who waits for the ends of jobs."""
        return self._opened()[2]

    def _opened(self) -> tuple[int, Store, Awaiting]:
        opened = self._open
        if opened is not None and opened[0] == os.getpid():
            return opened
        with self._lock:
            if self._open is None or self._open[0] != os.getpid():
                store = self._given or open_store(self.url)
                self._open = os.getpid(), store, Awaiting(store)
            return self._open

    def close(self) -> None:
        """Let go of the store."""
        opened, self._open = self._open, None
        if opened is not None and opened[0] == os.getpid():
            opened[1].close()

    def __repr__(self) -> str:
        return self.url.rpartition("@")[2]
