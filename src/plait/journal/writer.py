"""`Writer`: records what was put, many results at once, in a thread of its own.

    put (any thread) -> what waits, by stage -> [writer: one INSERT a group] -> WAL -> [settler: checkpoint] -> file
         ^ waits while too much of it waits                                     ^ kill -9 loses nothing from here on

Between a put and its commit lie `LINGER` and the time that this thread waits for the GIL (a switch interval for each
thread that holds on to it), whence one statement for each commit. A checkpoint syncs the file to the disk, which may
take 200 ms: another thread does it, and the writer itself only the small rest after which the WAL can begin anew.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator

import msgspec

from plait.errors import JournalError
from plait.journal.mishap import is_busy, told
from plait.journal.settler import Settler

__all__ = ["Writer"]

#: Seconds from the begin of one group to that of the next, and how many results are enough to begin at once.
LINGER, ENOUGH = 0.005, 2_000

#: Results and bytes that may wait before `put` waits too.
MOST, MOST_BYTES = 20_000, 32 << 20

#: Results and bytes in a row of `groups`: what a rerun reads to replay one of them.
ROW, ROW_BYTES = 256, 16 << 10

#: Rows in one statement.
ROWS = 64

#: Seconds for which a lock of another program is waited for while the run goes on, and once it has ended.
PATIENCE, LAST_PATIENCE = 30.0, 1.0

_pack = msgspec.msgpack.Encoder().encode

_Waiting = dict[int, list[tuple[bytes, bytes]]]
_Row = tuple[int, bytes, bytes, int]


class Writer:
    """Groups results and commits them.

    Parameters:
        path: the journal's.
        connection: for this object alone; the caller closes it after `close`.
        settler: checkpoints beside it.

    **Concurrency**: safe from any thread.
    """

    def __init__(self, path: str, connection: sqlite3.Connection, settler: Settler) -> None:
        self._path, self._connection, self._settler = path, connection, settler
        self._lock = threading.Lock()
        self._work, self._room = threading.Condition(self._lock), threading.Condition(self._lock)
        self._waiting: _Waiting = {}
        self._count = self._bytes = 0  # of what waits or is being written
        self._new = 0  # of what waits
        self._begun = 0.0
        self._closing = False
        self._pid = os.getpid()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="plait-journal", daemon=True)
        self._thread.start()

    def put(self, stage: int, key: bytes, data: bytes) -> None:
        """Record a result soon; waits while too many wait already.

        Raises:
            JournalError: writing has failed, now or before, or the journal is closed.
        """
        self.check()
        size = len(data)
        with self._lock:  # not a condition: its `__enter__` is Python, where Ctrl-C may leave it locked
            while self._count and (self._count >= MOST or self._bytes + size > MOST_BYTES) and self._may_wait():
                self._room.wait()
            self.check()
            pair = (key, data)  # in one piece: whatever interrupts this, a key never gets another's result
            if stage in self._waiting:
                self._waiting[stage].append(pair)
            else:
                self._waiting[stage] = [pair]
            self._count += 1
            self._bytes += size
            self._new += 1
            if self._new == 1 or self._new == ENOUGH:
                self._work.notify()

    def check(self) -> None:
        """Raise what has happened to the writer, if anything, or that this is not its process."""
        if self._pid != os.getpid():
            raise JournalError(self._path, "it belongs to the process that this one was forked from", "Use it there.")
        if self.failure is not None:
            raise told(self._path, self.failure) from self.failure
        if self._closing:
            raise JournalError(self._path, "it is closed", "A run's journal is open until that run has ended.")

    def close(self) -> None:
        """Commit what waits and end the thread."""
        with self._lock:
            self._closing = True
            self._work.notify_all()
            self._room.notify_all()
        self._thread.join()

    def _may_wait(self) -> bool:
        return self.failure is None and not self._closing

    def _run(self) -> None:
        try:
            while (waiting := self._next()) is not None:
                for stage, pairs in waiting.items():
                    self._write(list(_rows(stage, pairs)))
                count = sum(map(len, waiting.values()))
                size = sum(len(data) for pairs in waiting.values() for _, data in pairs)
                with self._lock:
                    self._count -= count
                    self._bytes -= size
                    self._room.notify_all()
        except BaseException as error:
            with self._lock:
                self.failure = error
                self._waiting = {}
                self._room.notify_all()

    def _next(self) -> _Waiting | None:
        """What is to be written next; `None`: nothing will come any more."""
        with self._lock:
            self._work.wait_for(lambda: self._new or self._closing)
            rest = self._begun + LINGER - time.monotonic()
            if rest > 0:
                self._work.wait_for(lambda: self._new >= ENOUGH or self._closing, rest)
            self._begun = time.monotonic()
            waiting, self._waiting, self._new = self._waiting, {}, 0
            return waiting or None

    def _write(self, rows: list[_Row]) -> None:
        for start in range(0, len(rows), ROWS):
            some = rows[start : start + ROWS]
            places = ",".join(["(?,?,?,?)"] * len(some))
            self._execute(f"INSERT INTO groups (stage, keys, results, crc) VALUES {places}", some)
            self._settler.written(self._connection, sum(len(row[1]) + len(row[2]) for row in some))

    def _execute(self, statement: str, rows: list[_Row]) -> None:
        """One transaction, tried again while another program has the file locked."""
        values = [value for row in rows for value in row]
        begun = time.monotonic()
        while True:
            try:
                self._connection.execute(statement, values)
                return
            except sqlite3.OperationalError as error:
                patience = LAST_PATIENCE if self._closing else PATIENCE
                if not is_busy(error) or time.monotonic() - begun > patience:
                    raise


def _rows(stage: int, pairs: list[tuple[bytes, bytes]]) -> Iterator[_Row]:
    """Rows of bounded size: a rerun reads a whole one for each result that it replays out of order."""
    start = size = 0
    for at, (_, data) in enumerate(pairs):
        if at - start >= ROW or (size and size + len(data) > ROW_BYTES):
            yield _row(stage, pairs[start:at])
            start, size = at, 0
        size += len(data)
    yield _row(stage, pairs[start:])


def _row(stage: int, pairs: list[tuple[bytes, bytes]]) -> _Row:
    packed = _pack([data for _, data in pairs])
    return stage, b"".join([key for key, _ in pairs]), packed, zlib.crc32(packed)
