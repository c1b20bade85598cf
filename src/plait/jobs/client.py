"""`Client`: a process's way to a store: opened when it is first needed, and anew in a forked child."""

from __future__ import annotations

import os
import threading
import uuid
import weakref
from typing import Any

from plait.errors import StoreError
from plait.jobs.open import checked_url, open_store, share_store, shown_url
from plait.jobs.store import Store
from plait.jobs.waiting import Awaiting

__all__ = ["Client"]

_clients: weakref.WeakSet[Client] = weakref.WeakSet()
#: Clients by where their store is found, for what is unpickled here.
_known: weakref.WeakValueDictionary[str, Client] = weakref.WeakValueDictionary()
#: Stores of the process that this one was forked from: letting go of them here could harm it.
_inherited: list[object] = []


class Client:
    """What `Jobs`, its tasks and its handles share.

    Parameters:
        url: of the store. store: one that is open already, for `url`.

    Attributes:
        place: under which this process's own code finds the store: the URL, or a name of its own for one in memory.

    Raises:
        OptionError: the URL is none that is known.

    Concurrency: safe from any thread.
    """

    def __init__(self, url: str, store: Store | None = None) -> None:
        self.url = self.place = checked_url(url)
        if store is not None:
            self.place = store.url
        self.in_memory = self.place.startswith("memory")
        if self.in_memory:
            self.place = f"memory://{uuid.uuid4().hex}"
        self._given = store
        self._elsewhere = False
        self._open: tuple[Store, Awaiting] | None = None
        self._lock = threading.Lock()
        _clients.add(self)
        _known.setdefault(self.place, self)

    @property
    def is_open(self) -> bool:
        """Whether using the store needs no opening of it."""
        return self._open is not None

    @property
    def store(self) -> Store:
        """The store.

        Raises:
            StoreError: it cannot be opened.
        """
        return self._opened()[0]

    @property
    def awaiting(self) -> Awaiting:
        """Who waits for the ends of jobs."""
        return self._opened()[1]

    def _opened(self) -> tuple[Store, Awaiting]:
        opened = self._open
        if opened is not None:
            return opened
        with self._lock:
            if self._open is None:
                if self._elsewhere:
                    raise StoreError(
                        "These jobs are in the memory of another process, and cannot be reached from here. Use a "
                        'store that processes share: Jobs("sqlite:///FILE").'
                    )
                store = self._given or open_store(self.url)
                if self.in_memory:  # it is what it is until the process ends
                    self._given = store
                    share_store(self.place, store)
                self._open = store, Awaiting(store)
            return self._open

    def close(self) -> None:
        """Let go of the store; who waits for a result there is told."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            opened[1].close()
            opened[0].close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.url, self.place)

    def __repr__(self) -> str:
        return shown_url(self.url)


def _again(url: str, place: str) -> Client:
    """The client of this process for the same store."""
    client = _known.get(place)
    if client is None:
        client = Client(url)
        if client.in_memory:
            client.place, client._elsewhere = place, True
            _known[place] = client
    return client


def _after_fork() -> None:
    for client in list(_clients):
        client._lock = threading.Lock()  # another thread may have held it
        if client._open is not None:
            _inherited.append(client._open)
            client._open = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
