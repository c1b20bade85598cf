"""`Source`: an input that is read while it is iterated; and the error that names where it cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from plait.errors import PlaitError, nearest

__all__ = ["ReadError", "Source", "missing", "no_column"]

T = TypeVar("T")


class ReadError(PlaitError, ValueError):
    """The input is not there, or cannot be read as what it was said to be.

    Parameters:
        path: the input as it was given.
        line: where in it, from 1; `None` where lines have no meaning.
        why: what is wrong.
        remedy: what to do now.
    """

    def __init__(self, path: str, line: int | None, why: str, remedy: str) -> None:
        self.path, self.line, self.why, self.remedy = path, line, why, remedy
        where = _shown(path) if line is None else f"{_shown(path)}, line {line}"
        super().__init__(f"{where}: {why}. {remedy}".rstrip())


class Source(Generic[T]):
    """An input that is read while it is iterated, and again for each iteration (standard input once only).

    **Cost** one line, row or batch in memory at a time. **Concurrency** every iterator has its own open file.

    Parameters:
        path: what it is, for messages: a path, or a table's kind.
        format: the function of `plait.read` that made it.
        rows: begins an iteration.
        count: how many items there are, if that is cheap to learn.
    """

    def __init__(
        self, path: str, format: str, rows: Callable[[], Iterator[T]], count: Callable[[], int | None]
    ) -> None:
        self.path, self.format = path, format
        self._rows, self._count = rows, count

    def __iter__(self) -> Iterator[T]:
        return self._rows()

    def total_hint(self) -> int | None:
        """About how many items there are, where that is cheap to learn (tens of milliseconds); else `None`."""
        try:
            return self._count()
        except (OSError, PlaitError):
            return None  # whoever iterates meets the error, with its line

    def __repr__(self) -> str:
        return f"plait.read.{self.format}({self.path!r})"


def missing(name: str) -> ReadError:
    """The error for an input that is not there; names the nearest that is."""
    folder, wanted = os.path.split(name)
    try:
        return ReadError(name, None, "there is no such file", nearest(wanted, os.listdir(folder or ".")).strip())
    except OSError:
        return ReadError(name, None, f"there is no such file, nor a folder {folder}", "Check the path.")


def no_column(path: str, column: str, names: list[str]) -> ReadError:
    """The error for a column that was asked for and is not there; names those that are."""
    return ReadError(path, None, f"it has no column {column!r}", f"It has: {', '.join(names)}.")


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path
