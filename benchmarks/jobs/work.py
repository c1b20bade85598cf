"""What the jobs do: the very same functions for every engine. They get the job's number and 100 letters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator

from benchmarks.burn import MILLISECOND, burn
from benchmarks.jobs.board import board

__all__ = ["TEXT", "WAIT", "Call", "asking", "block", "crunch", "nap", "noop"]

#: A job: the name of its task, and its number.
Call = tuple[str, int]
TEXT = "x" * 100
WAIT, CRUNCH_MS = 0.01, 20


def noop(number: int, text: str) -> None:
    board().mark(number)


def block(number: int, text: str) -> None:
    """Block for 10 ms, as a database's driver does."""
    marks = board()
    marks.begin(number)
    time.sleep(WAIT)
    marks.end(number)


async def nap(number: int, text: str) -> None:
    """Wait for 10 ms."""
    marks = board()
    marks.begin(number)
    await asyncio.sleep(WAIT)
    marks.end(number)


def crunch(number: int, text: str) -> None:
    """Compute for some 20 ms of pure Python."""
    marks = board()
    marks.begin(number)
    before = time.thread_time()
    burn(CRUNCH_MS * MILLISECOND)
    marks.cost[number] = time.thread_time() - before
    marks.end(number)


def hold(number: int, text: str) -> None:
    """Be killed: no worker of the row `recovery` lives as long as this takes."""
    board().begin(number)
    time.sleep(60.0)
    board().end(number)


def asking(calls: Iterable[Call]) -> Iterator[Call]:
    """The calls, each with a note of when it was asked for: what is enqueued in the loop's body."""
    asked, clock = board().asked, time.monotonic
    for call in calls:
        asked[call[1]] = clock()
        yield call
