"""`Sender`: sends heavy chunks from a thread of its own.

Results are taken in by one thread. While it copies megabytes to a worker it cannot copy others in from another one;
both copies let go of the GIL, so two threads do them side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

__all__ = ["HEAVY", "Sender"]

#: Bytes of an item from which on a thread for sending pays (copying them takes longer than two changes of thread).
HEAVY = 256 << 10


class Sender:
    """Calls `send(*order)` for each order, in a thread started by the first."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._orders: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, *order: Any) -> None:
        """Send this soon, after what was put before."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="plait-send", daemon=True)
            self._thread.start()
        self._orders.put(order)

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            self._send(*order)
            del order

    def close(self) -> None:
        """Send what was put, then end the thread."""
        self._orders.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)
