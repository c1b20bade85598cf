"""`Writer`: rows and tables go in, and the output is either complete or not there; what every format shares."""

from __future__ import annotations

import abc
import contextlib
import os
from types import TracebackType
from typing import IO, Any

from plait.surface.arrow import is_table, tables_of
from plait.surface.destination import Destination, WriteError
from plait.surface.source import ReadError

__all__ = ["RowRejected", "Writer"]


class RowRejected(WriteError):
    """A row that the format cannot hold. Nothing of it was written, and the writer takes further rows.

    (Of a large table, batches before the one that was rejected may have been written; `Writer.rows` counts them.)
    """


class Writer(abc.ABC):
    """A context manager with `write(row)`; made by `plait.write.jsonl`, `.csv` and `.parquet`.

    It can be entered again after its end, and then writes its output anew.

    **Guarantee** the path holds the old content or all of the new, also after a crash of the machine. Of two writers of
    one path, in whatever processes, the second is refused.
    **Concurrency** one thread at a time.
    """

    def __init__(self, path: str | os.PathLike[str] | IO[bytes]) -> None:
        self._file = Destination(path)
        self._open = False
        #: The output's name, for messages.
        self.path = self._file.name
        #: How many rows were taken.
        self.rows = 0

    @property
    def partial(self) -> str | None:
        """Where rows are kept until the output is complete; `None` for a pipe."""
        return self._file.partial

    @property
    def on_terminal(self) -> bool:
        """True while rows go to a terminal, under a reader's eyes."""
        return self._file.on_terminal

    def __enter__(self) -> Writer:
        if self._open:
            raise WriteError(self.path, "this writer is in use", "Make one for each output; leave the first `with`.")
        self._file.open()
        self._open, self.rows = True, 0
        self._begin()
        return self

    def write(self, row: Any) -> None:
        """Add a row, or all rows of a table.

        A table is a `pyarrow.RecordBatch`, `Table` or reader, a DataFrame of pandas or Polars, or what else has
        `__arrow_c_stream__`; it is written column by column, and counts as many rows as it has.

        Raises:
            RowRejected: the format cannot hold it; the writer goes on with others.
            WriteError: the rows so far cannot be written (Parquet, whose rows are converted in groups).
            OSError: the disk is full, or the pipe's reader has gone.
        """
        if not self._open:
            raise WriteError(self.path, "it is not open", "Write inside of `with writer:`.")
        if type(row) is not dict and is_table(row):
            self._add_tables(row)
        else:
            self._add(row)
            self.rows += 1

    def discard(self) -> None:
        """Drop what is still buffered for a pipe whose reader has gone, so that nothing complains of it at the end."""
        self._file.discard()

    def flush(self) -> None:
        """Hand what was written to the operating system, so that others can read it (Parquet: its finished groups)."""
        self._file.stream.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._open = False
        if error is None:
            try:
                self._end()
                self._file.commit()
                return
            except BaseException as late:
                self._abandon(late)
                raise
        self._abandon(error)

    def _abandon(self, error: BaseException) -> None:
        with contextlib.suppress(Exception):  # the first error is the one to tell
            if self.partial:
                self._end()
        with contextlib.suppress(Exception):
            self._cut_off()
        self._file.abandon(keep=self.rows > 0)
        if self.partial and self.rows:
            error.add_note(f"The {self.rows} rows written before are in {self.partial}.")

    def _add_tables(self, given: Any) -> None:
        try:
            for table in tables_of(given):
                self._add_table(table)
        except ReadError as error:
            raise self._rejected(error.why, error.remedy) from error

    def _begin(self) -> None:
        """Make ready for the first row."""

    @abc.abstractmethod
    def _add(self, row: Any) -> None: ...

    @abc.abstractmethod
    def _add_table(self, table: Any) -> None:
        """Add a `pyarrow.Table`, and count its rows."""

    def _end(self) -> None:
        """Write what the format has at its end."""

    def _cut_off(self) -> None:
        """Let go without it: what is written directly has no other way to show that it is not complete."""

    def _check_columns(self, names: Any, known: set[str]) -> None:
        if not names <= known:
            new = min(map(str, names - known))
            remedy = "Return every column in every row, with None where there is nothing; or write JSONL."
            raise self._rejected(f"it has a column {new!r}, which the first row had not", remedy)

    def _rejected(self, why: object, remedy: str) -> RowRejected:
        return RowRejected(self.path, f"row {self.rows + 1} cannot be written: {why}", remedy)
