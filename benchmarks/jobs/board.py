"""`Board`: what became of every job, in a file that all processes map: no engine's own word is taken for it.

A job's number is its place. Each place has one writer at a time, so no lock is needed, and a no-op pays half a
microsecond for it, whoever runs it.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

__all__ = ["Board", "board"]

#: Names the file, for the processes that run jobs.
WHERE = "PLAIT_BENCH_BOARD"
_COLUMNS = ("asked", "began", "ended", "cost")


class Board:
    """Columns over the numbers of jobs. Times are of the monotonic clock, which all processes of a machine share.

    Attributes:
        asked: when it was about to be enqueued. began, ended: when it last was. cost: CPU seconds that it took.
        runs: how often it began. over: 1 once it has ended.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        self.size = len(self.memory) // (8 * len(_COLUMNS) + 2)
        view = memoryview(self.memory)
        width = 8 * self.size
        self.asked, self.began, self.ended, self.cost = (
            view[at * width : (at + 1) * width].cast("d") for at in range(len(_COLUMNS))
        )
        self._flags = width * len(_COLUMNS)
        self.over = view[self._flags : self._flags + self.size]
        self.runs = view[self._flags + self.size :]

    @classmethod
    def made(cls, path: Path, size: int) -> Board:
        """A new one, for so many jobs; child processes find it."""
        path.write_bytes(bytes(size * (8 * len(_COLUMNS) + 2)))
        os.environ[WHERE] = str(path)
        return cls(path)

    # --- from jobs --------------------------------------------------------------------------------------------------

    def begin(self, number: int) -> None:
        self.began[number] = time.monotonic()
        self.runs[number] += 1

    def end(self, number: int) -> None:
        self.ended[number] = time.monotonic()
        self.over[number] = 1

    def mark(self, number: int) -> None:
        """A job that does nothing else."""
        self.began[number] = self.ended[number] = time.monotonic()
        self.runs[number] += 1
        self.over[number] = 1

    # --- from who measures ------------------------------------------------------------------------------------------

    def is_over(self, count: int | None = None) -> bool:
        """Whether all jobs, or those below `count`, have ended."""
        return self.memory.find(b"\0", self._flags, self._flags + (self.size if count is None else count)) < 0

    def wait(self, limit: float, count: int | None = None, pause: float = 0.005) -> bool:
        """Wait until they have, `limit` seconds at most."""
        until = time.monotonic() + limit
        while not self.is_over(count):
            if time.monotonic() > until:
                return False
            time.sleep(pause)
        return True

    def begun(self, numbers: Iterable[int], limit: float, times: int = 1) -> bool:
        """Wait until each has begun so many times, `limit` seconds at most."""
        until, left = time.monotonic() + limit, list(numbers)
        while left:
            left = [number for number in left if self.runs[number] < times]
            if left and time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def done(self) -> list[int]:
        """The numbers of those that have ended."""
        return [number for number, over in enumerate(self.over) if over]

    def repeated(self) -> int:
        """How many began more than once."""
        return sum(runs > 1 for runs in self.runs)


@cache
def board() -> Board:
    """The board of this run."""
    return Board(Path(os.environ[WHERE]))
