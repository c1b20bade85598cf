"""`Ear`: who listens to a store in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Ear"]


class Ear:
    """Waits to be told of what is new. See `store.Listener`."""

    def __init__(self, closed: Callable[[Any], None]) -> None:
        self._event = threading.Event()
        self._closed = closed

    def wait(self, timeout: float) -> bool:
        """Wait to be woken."""
        woken = self._event.wait(timeout)
        self._event.clear()
        return woken

    def wake(self) -> None:
        """End a wait."""
        self._event.set()

    def close(self) -> None:
        """Listen no more."""
        self._closed(self)
