"""The functions and sources that plait and every peer are given: the very same objects, importable by any worker.

It imports next to nothing, so that no engine's workers pay for a heavy import that the work does not need.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def noop(x: Any) -> Any:
    return x


async def async_noop(x: Any) -> Any:
    return x


def plus_one(array: Any) -> Any:
    """A new array of the same size, so that the way back is as long as the way there."""
    return array + 1


def pid_of(_: Any) -> int:
    return os.getpid()


def numbers(count: int) -> Iterator[int]:
    """A source without a length."""
    yield from range(count)


def drain(results: Iterable[Any]) -> None:
    """Consume at C speed and keep nothing: the consumer must not hide the engine's own cost."""
    deque(results, maxlen=0)


def warmed(run: Callable[[Iterable[int]], Iterable[Any]], count: int = 1000) -> None:
    """Run `count` numbers, outside the timed part: workers are up and the function is known, and the answers are right.

    Raises:
        RuntimeError: a result is missing, doubled or wrong.
    """
    if sorted(run(range(count))) != list(range(count)):
        raise RuntimeError("the warm-up's results are not its items: this engine's figures would mean nothing")
