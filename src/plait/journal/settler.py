"""`Settler`: carries what was committed from the WAL into the journal's file while the writer writes on."""

from __future__ import annotations

import sqlite3
import threading

__all__ = ["Settler"]

#: Bytes after which a checkpoint begins in the background; pages in the WAL from which on it should begin anew.
OFTEN, LONG = 1 << 20, 1_000


class Settler:
    """Checkpoints in a thread of its own, made when there is something to do.

    Parameters:
        connection: for this object alone; the caller closes it after `close`.

    A WAL begins anew when all of it has been carried over and then something is written, so that beside a busy writer
    it would grow for ever: once it is `LONG`, the writer itself carries over the few pages that are left.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._wake = threading.Condition()
        self._wanted = self._closing = False
        self._pages: int | None = None  # in the WAL, as the last checkpoint found it, if it was not acted on yet
        self._since = 0  # bytes
        self._thread: threading.Thread | None = None

    def written(self, connection: sqlite3.Connection, size: int) -> None:
        """The writer has committed so many bytes through its connection: look whether something is to be done."""
        self._since += size + 8192  # the pages that each commit touches
        if self._wanted:
            return
        pages, self._pages = self._pages, None
        if pages is not None and pages >= LONG:
            _checkpoint(connection)
        elif self._since >= OFTEN:
            self._since = 0
            with self._wake:
                self._wanted = True
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="plait-journal-settler", daemon=True)
                    self._thread.start()
                self._wake.notify()

    def close(self) -> None:
        """End the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._wanted or self._closing)
                if self._closing:
                    return
            self._pages = _checkpoint(self._connection)
            self._wanted = False


def _checkpoint(connection: sqlite3.Connection) -> int | None:
    """Carry over what can be; how many pages the WAL has. A failure is no loss: the WAL holds it all, and the next
    commit meets the same disk.
    """
    try:
        pages: int = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        return pages
    except sqlite3.Error:
        return None
