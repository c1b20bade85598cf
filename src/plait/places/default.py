"""The process-wide pool: made on first use, one for each process id, replaceable in a `with`, resettable by tests."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

__all__ = ["Default"]


class _Closable(Protocol):
    @property
    def closed(self) -> bool: ...

    def close(self) -> None: ...


T = TypeVar("T", bound=_Closable)


class Default(Generic[T]):
    """One current thing for the process.

    Parameters:
        make: makes it when it is first asked for.

    Concurrency: safe from any thread. A forked child starts with none: the parent's stays the parent's.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._pushed: list[T] = []
        self._made: T | None = None  # by us, so ours to close
        self._registered = False
        os.register_at_fork(after_in_child=self._forked)

    def get(self) -> T:
        """The current one: what was pushed last, else the one made here."""
        with self._lock:
            if self._pushed:
                return self._pushed[-1]
            if self._made is None or self._made.closed:
                if not self._registered:
                    self._registered = True
                    atexit.register(self.reset)
                self._made = self._make()
            return self._made

    @property
    def now(self) -> T | None:
        """The current one, if there is any yet."""
        made = self._made
        return self._pushed[-1] if self._pushed else None if made is None or made.closed else made

    def push(self, thing: T) -> None:
        """Make `thing` the current one until it is removed."""
        with self._lock:
            self._pushed.append(thing)

    def remove(self, thing: T) -> None:
        """Take `thing` away, wherever it stands: threads may leave in another order than they came."""
        with self._lock:
            self._pushed = [other for other in self._pushed if other is not thing]

    def reset(self) -> None:
        """Close the one that was made here and forget it: the next use makes a new one."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def _forked(self) -> None:
        self._lock = threading.Lock()  # a thread of the parent may have held it
        self._pushed, self._made = [], None
