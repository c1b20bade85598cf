"""`Replay`: the results that earlier runs recorded of one stage, each to be taken once."""

from __future__ import annotations

import sqlite3
import threading
import zlib
from array import array
from bisect import bisect_right
from collections import OrderedDict

import msgspec

from plait.journal.mishap import damaged, told
from plait.journal.recorded import KEY, Recorded

__all__ = ["Replay"]

#: Rows of the file whose results are kept at hand (16 KB each): a rerun in about the same order reads each once.
AT_HAND = 256

_unpack = msgspec.msgpack.Decoder(list[bytes]).decode


class Replay:
    """The keys in memory, the results in the file.

    Parameters:
        path: the journal's.
        connection: to read through.
        lock: held while the connection is used; it is held by the caller when this is made.
        stage: whose results.

    **Concurrency**: safe from any thread.
    """

    def __init__(self, path: str, connection: sqlite3.Connection, lock: threading.Lock, stage: int) -> None:
        self._path, self._connection, self._lock = path, connection, lock
        self._rows, self._starts = array("q"), array("q")  # of the file, and how many results lie before each
        self._at_hand: OrderedDict[int, list[bytes]] = OrderedDict()
        self._recorded = self._load(stage)

    @property
    def left(self) -> int:
        """How many results were not taken yet."""
        return self._recorded.left

    def take(self, key: bytes) -> bytes | None:
        """The first result under `key` that was not taken yet, as the codec made it.

        Raises:
            JournalError: it cannot be read.
        """
        with self._lock:
            place = self._recorded.take(key)
            return None if place is None else self._result(place)

    def _load(self, stage: int) -> Recorded:
        keys, count = [], 0
        for row, some in self._connection.execute("SELECT id, keys FROM groups WHERE stage = ? ORDER BY id", (stage,)):
            if type(some) is not bytes or len(some) % KEY:
                raise damaged(self._path, f"the keys of row {row} are not what was written")
            keys.append(some)
            self._rows.append(row)
            self._starts.append(count)
            count += len(some) // KEY
        return Recorded(b"".join(keys))

    def _result(self, place: int) -> bytes:
        at = bisect_right(self._starts, place) - 1
        results = self._at_hand.get(at)
        if results is None:
            results = self._fetch(self._rows[at])
            if len(results) > 1:  # what stands alone may be large, and is read once
                self._at_hand[at] = results
                if len(self._at_hand) > AT_HAND:
                    self._at_hand.popitem(last=False)
        try:
            return results[place - self._starts[at]]
        except IndexError:
            raise damaged(self._path, f"row {self._rows[at]} has fewer results than keys") from None

    def _fetch(self, row: int) -> list[bytes]:
        try:
            found = self._connection.execute("SELECT results, crc FROM groups WHERE id = ?", (row,)).fetchall()
        except sqlite3.Error as error:
            raise told(self._path, error) from error
        if len(found) != 1 or type(found[0][0]) is not bytes or zlib.crc32(found[0][0]) != found[0][1]:
            raise damaged(self._path, f"the results of row {row} are not what was written")
        try:
            return _unpack(found[0][0])
        except msgspec.MsgspecError as error:
            raise damaged(self._path, f"the results of row {row} make no sense: {error}") from error
