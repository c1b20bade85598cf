"""Every model with the kinds of function that it runs, and what tests ask of each."""

import asyncio
import functools
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import plait

SYNC = ("serial", "threads", "processes", "processes+threads", "auto")
ASYNC = ("serial", "async", "processes+async", "auto")


@dataclass(frozen=True)
class Case:
    """A model and the kind of function that it is given."""

    model: str
    is_async: bool = False

    def __str__(self) -> str:
        return f"{self.model}-{'async' if self.is_async else 'sync'}"

    @property
    def in_processes(self) -> bool:
        return self.model.startswith("processes")

    @property
    def style(self) -> str:
        """How one worker runs its items; empty where that is measured."""
        if self.is_async:
            return "loop"
        return {"auto": "", "threads": "threads", "processes+threads": "threads"}.get(self.model, "serial")

    def function(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """`fn` as a function of this case's kind."""
        return awaited(fn) if self.is_async else fn

    def map(self, fn: Callable[..., Any], items: Any, **options: Any) -> plait.Run[Any]:
        return plait.map(self.function(fn), items, **{"model": self.model, "workers": 2, **options})


def awaited(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` as an async function, which gives way to others once."""

    @functools.wraps(fn)
    async def call(item: Any, **resources: Any) -> Any:
        await asyncio.sleep(0)
        return fn(item, **resources)

    return call


EVERY = [Case(model) for model in SYNC] + [Case(model, is_async=True) for model in ASYNC]


def cases(wanted: Callable[[Case], bool] = lambda case: True) -> Any:
    """Run the test once for each case that is wanted."""
    return pytest.mark.parametrize("case", [case for case in EVERY if wanted(case)], ids=str)


class Calls:
    """A file that functions write to, wherever they run: one short line a call, appended at once."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def note(self, word: object) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, f"{word} {time.monotonic()!r}\n".encode())
        finally:
            os.close(file)

    def noted(self) -> list[tuple[str, float]]:
        """Each word with when it was noted, in that order."""
        if not os.path.exists(self.path):
            return []
        lines = Path(self.path).read_text().splitlines()
        return [(word, float(at)) for word, at in (line.split() for line in lines)]

    def counts(self) -> Counter[str]:
        return Counter(word for word, _ in self.noted())
