"""`Pages`: one stage's part of a journal: what earlier runs recorded, and what this one records."""

from __future__ import annotations

import threading
from typing import Any

from plait.errors import JournalError
from plait.failure import shown
from plait.journal.canonical import Unkeyable, key_of
from plait.journal.changes import Unfaithful
from plait.journal.codecs import LARGEST, Codec
from plait.journal.mishap import damaged
from plait.journal.replay import Replay
from plait.journal.writer import Writer

__all__ = ["Pages"]


class Pages:
    """What is recorded of one stage.

    Made by `Book.stage`.

    Attributes:
        replayed: results taken in this run.
        recorded: results put in this run (not those of earlier ones).

    **Concurrency**: safe from any thread; not in a forked child.

    **Cost**: 30 bytes of memory for each result that earlier runs recorded (300 MB for ten millions), and half a
    second for each million of them when the stage is opened; nothing for what this run records. `key` 1 to 6 us;
    `take` 0.3 us where nothing was recorded, 3 us in the order of recording, 20 to 40 us in any other; `put` 2 to 5 us.
    """

    def __init__(self, path: str, stage: int, codec: Codec, writer: Writer, replay: Replay) -> None:
        self._path, self._stage, self._codec, self._writer, self._replay = path, stage, codec, writer, replay
        self._counting = threading.Lock()
        self.replayed = self.recorded = 0

    def key(self, item: Any) -> bytes:
        """The content key of an item (or of what `journal_key` says of it), the same in every run.

        `1`, `1.0`, `True`, `"1"`, `[1]` and `(1,)` have keys of their own; the order of a dict's entries does not
        count. Dataclasses, named tuples, enums, paths, dates, decimals, sets, NumPy arrays and the like count by their
        content and their class, a class of the main script as one of `__main__`.

        Raises:
            JournalError: there is none for a part of it.
        """
        try:
            return key_of(item)
        except Exception as error:
            why = str(error) if isinstance(error, Unkeyable) else f"{type(error).__name__}: {error}"
            raise JournalError(
                self._path,
                f"an item of type {type(item).__qualname__} has no content key: {why}",
                "Pass journal_key=, a function that says in plain data what tells an item from others "
                "(journal_key=lambda item: item.id).",
            ) from error

    def unchanged(self, item: Any, key: bytes) -> None:
        """See to it that `item` still has the key that it had.

        Raises:
            JournalError: it was changed by a tap or filter, of which only the verdict is remembered.
        """
        try:
            same = self.key(item) == key
        except JournalError:
            same = False
        if not same:
            raise JournalError(
                self._path,
                f"a tap or filter has changed its item, {shown(item)}; a rerun would not: only its verdict is kept",
                "Change items in .map(), with a function that returns them.",
            )

    def take(self, key: bytes) -> tuple[bool, Any]:
        """Whether a result is recorded for this occurrence of a key, and the result.

        The first call with a key takes the first recorded result, the second the second; `(False, None)` when they are
        used up. Only what earlier runs recorded counts.

        Raises:
            JournalError: it cannot be read, or the journal has failed.
        """
        self._writer.check()
        if not self._replay.left:
            return False, None
        data = self._replay.take(key)
        if data is None:
            return False, None
        try:
            result = self._codec.decode(data)
        except Exception as error:
            raise damaged(self._path, f"a result cannot be read: {type(error).__name__}: {error}") from error
        with self._counting:
            self.replayed += 1
        return True, result

    def put(self, key: bytes, value: Any) -> None:
        """Record a result, to be replayed by the next run; returns before it is committed, some 10 ms later.

        It waits while very much is not committed yet (20,000 results, 32 MB).

        Raises:
            JournalError: the codec would change the value: it was not recorded; or the journal has failed: nothing more
                will be.
        """
        try:
            data = self._codec.encode(value)
        except Unfaithful as error:
            remedy = f"Return {error.instead}"
            if self._codec.name != "pickle":
                remedy += f", or pass journal=plait.Journal({self._path!r}, codec='pickle')"
            raise JournalError(self._path, str(error), remedy + ".") from error
        if len(data) > LARGEST:
            raise JournalError(
                self._path,
                f"a result of {len(data):,} bytes is more than it can hold",
                "Write it to a file and return the path.",
            )
        self._writer.put(self._stage, key, data)
        with self._counting:
            self.recorded += 1
