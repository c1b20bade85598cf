"""The OUT of a command: written by the format given, or by its name's; and where its failures are listed."""

from __future__ import annotations

import os
from typing import IO, Any

from plait.surface import write

__all__ = ["Nowhere", "beside", "format_of", "is_file", "writer_of"]


class Nowhere:
    """In the place of a writer: counts results and lets go of them."""

    path = partial = None
    on_terminal = False

    def __init__(self) -> None:
        self.rows = 0

    def __enter__(self) -> Nowhere:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, row: Any) -> None:
        """Count it."""
        self.rows += 1

    def discard(self) -> None:
        """There is nothing to drop."""


def format_of(path: str, format: str | None) -> str:
    """How `path` is to be written.

    Raises:
        WriteError: nothing tells.
    """
    format = format or ("jsonl" if path == "-" else write.format_of(path))
    if format is None:
        remedy = "Call it .jsonl, .csv or .parquet, or give --output-format."
        raise write.WriteError(path, "its name does not tell its format", remedy)
    return format


def writer_of(path: str, format: str, stdout: IO[bytes] | None) -> write.Writer:
    """What writes the rows, to `stdout` if there is one."""
    make = {"jsonl": write.jsonl, "csv": write.csv, "parquet": write.parquet}[format]
    return make(path if stdout is None else stdout)


def is_file(path: str | None) -> bool:
    """Whether `path` is, or can become, a plain file, which others can lie beside."""
    return path not in (None, "-") and (os.path.isfile(path) or not os.path.exists(path))


def beside(path: str | None, failures: str | None) -> str | None:
    """Where failures are listed; `None`: nowhere but on standard error, since results go to a pipe or device."""
    return failures or (f"{path}.failures.jsonl" if is_file(path) else None)
