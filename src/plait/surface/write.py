"""Sinks: JSONL, CSV and Parquet files that are either complete or not there.

    with plait.write.jsonl("out.jsonl") as out:
        for row in plait.map(fn, items):
            out.write(row)

Rows go to `out.jsonl.partial`, which takes its final name when the block ends without an error, and stays as it is (and
is named in a note on the error) when it does not. `"-"` is standard output.
"""

from __future__ import annotations

import abc
import bisect
import contextlib
import csv as _csv
import io
import os
from types import TracebackType
from typing import IO, Any

from plait.errors import MissingExtra
from plait.surface.destination import Destination, WriteError
from plait.surface.encode import arrow_value, as_row, csv_field, json_bytes

__all__ = ["RowRejected", "WriteError", "Writer", "csv", "format_of", "jsonl", "parquet"]

Path = str | os.PathLike[str]
FORMATS = {"jsonl": (".jsonl", ".ndjson", ".json"), "csv": (".csv", ".tsv"), "parquet": (".parquet", ".pq")}

#: A row group: large enough to compress well, small enough to hold.
GROUP_ROWS, GROUP_BYTES = 32_768, 32 << 20


class RowRejected(WriteError):
    """A row that the format cannot hold. Nothing of it was written, and the writer takes further rows."""


class Writer(abc.ABC):
    """A context manager with `write(row)`; made by `plait.write.jsonl`, `.csv` and `.parquet`.

    **Guarantee** the path holds the old content or all of the new, also after a crash of the machine.
    **Concurrency** one thread at a time.
    """

    def __init__(self, path: Path | IO[bytes]) -> None:
        self._file = Destination(path)
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
        self._file.open()
        return self

    def write(self, row: Any) -> None:
        """Add a row.

        Raises:
            RowRejected: the format cannot hold it; the writer goes on with others.
            WriteError: the rows so far cannot be written (Parquet, whose rows are converted in groups).
            OSError: the disk is full, or the pipe's reader has gone.
        """
        self._add(row)
        self.rows += 1

    def discard(self) -> None:
        """Drop what is still buffered for a pipe whose reader has gone, so that nothing complains of it at the end."""
        self._file.discard()

    def flush(self) -> None:
        """Hand what was written to the operating system, so that others can read it (Parquet: its finished groups)."""
        self._file.stream.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
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
            self._end()
        self._file.abandon(keep=self.rows > 0)
        if self.partial and self.rows:
            error.add_note(f"The {self.rows} rows written before are in {self.partial}.")

    @abc.abstractmethod
    def _add(self, row: Any) -> None: ...

    def _end(self) -> None:
        """Write what the format has at its end."""

    def _check_columns(self, row: dict[str, Any], known: set[str]) -> None:
        if not row.keys() <= known:
            new = min(map(str, row.keys() - known))
            remedy = "Return every column in every row, with None where there is nothing; or write JSONL."
            raise self._rejected(f"it has a column {new!r}, which the first row had not", remedy)

    def _rejected(self, why: object, remedy: str) -> RowRejected:
        return RowRejected(self.path, f"row {self.rows + 1} cannot be written: {why}", remedy)


def jsonl(path: Path | IO[bytes]) -> Writer:
    """One JSON value a line, strict and in UTF-8; gzipped when the name ends in `.gz`.

    NumPy values, dataclasses, dates, paths, bytes (base64), sets and the like are converted; NaN becomes `null`.

    Raises (on entering): WriteError when the file cannot be made.
    """
    return _Jsonl(path)


def csv(path: Path | IO[bytes]) -> Writer:
    """CSV with the columns of the first row; a result that is not a dict fills a column `result`.

    Raises (on entering): WriteError when the file cannot be made.
    """
    return _Csv(path)


def parquet(path: Path | IO[bytes]) -> Writer:
    """Parquet with the columns of the first row and the types of the first group of rows.

    Raises:
        MissingExtra: pyarrow is not installed.
        WriteError (on entering): the file cannot be made.
    """
    try:
        import pyarrow.parquet  # noqa: F401  heavy, and of an extra
    except ImportError as error:
        raise MissingExtra("Writing Parquet", "pyarrow", "parquet") from error
    return _Parquet(path)


def format_of(path: Path) -> str | None:
    """The format that an output's name tells; `None` if it tells none."""
    suffix = os.path.splitext(os.fspath(path).lower().removesuffix(".gz"))[1]
    return next((format for format, suffixes in FORMATS.items() if suffix in suffixes), None)


class _Jsonl(Writer):
    def _add(self, row: Any) -> None:
        try:
            data = json_bytes(row)
        except (TypeError, ValueError) as error:
            raise self._rejected(error, "Return what JSON can hold: numbers, text, lists, dicts.") from None
        self._file.write(data + b"\n")


class _Csv(Writer):
    def __init__(self, path: Path | IO[bytes]) -> None:
        super().__init__(path)
        self._columns: list[str] = []
        self._known: set[str] = set()
        self._line = io.StringIO(newline="")
        tabs = os.path.splitext(self.path.lower().removesuffix(".gz"))[1] == ".tsv"
        self._writer = _csv.writer(self._line, delimiter="\t" if tabs else ",", lineterminator="\n")

    def _add(self, row: Any) -> None:
        fields = as_row(row)
        try:
            values = {name: csv_field(value) for name, value in fields.items()}
        except (TypeError, ValueError) as error:
            raise self._rejected(error, "Return what has a text form.") from None
        if not self._columns:
            self._columns, self._known = list(values), set(values)
            self._put(self._columns)
        self._check_columns(values, self._known)
        self._put([values.get(name) for name in self._columns])

    def _put(self, fields: list[Any]) -> None:
        self._line.seek(0)
        self._line.truncate()
        self._writer.writerow(fields)
        self._file.write(self._line.getvalue().encode("utf-8", "surrogateescape"))


class _Parquet(Writer):
    """Rows are held until they make a group; Arrow's types come from the first."""

    def __init__(self, path: Path | IO[bytes]) -> None:
        super().__init__(path)
        self._held: list[dict[str, Any]] = []
        self._held_bytes = 0
        self._stored = 0
        self._known: set[str] = set()
        self._schema: Any = None
        self._table: Any = None

    def _add(self, row: Any) -> None:
        try:
            values = {name: arrow_value(value) for name, value in as_row(row).items()}
        except (TypeError, ValueError, RecursionError) as error:
            raise self._rejected(error, "Return what Arrow can hold.") from None
        self._known = self._known or set(values)
        self._check_columns(values, self._known)
        self._held.append(values)
        self._held_bytes += sum(len(value) for value in values.values() if isinstance(value, (str, bytes, list)))
        if len(self._held) >= GROUP_ROWS or self._held_bytes >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        import pyarrow
        import pyarrow.parquet

        rows, self._held, self._held_bytes = self._held, [], 0
        if not rows:
            return
        try:
            group = pyarrow.Table.from_pylist(rows, schema=self._schema)
        except (pyarrow.ArrowException, TypeError, OverflowError) as error:
            raise self._odd_one(rows, error) from None
        if self._table is None:
            self._schema = group.schema
            self._table = pyarrow.parquet.ParquetWriter(self._file.stream, self._schema)
        self._table.write_table(group, row_group_size=len(rows))
        self._stored += len(rows)

    def _odd_one(self, rows: list[dict[str, Any]], error: Exception) -> WriteError:
        """The error that names the first row which does not fit; the rows before it are kept for the partial file."""
        import pyarrow

        def fits(count: int) -> bool:
            try:
                pyarrow.Table.from_pylist(rows[:count], schema=self._schema)
            except (pyarrow.ArrowException, TypeError, OverflowError):
                return False
            return True

        place = bisect.bisect_left(range(1, len(rows) + 1), True, key=lambda count: not fits(count))
        self._held, self.rows = rows[:place], self._stored + place
        schema = self._schema or pyarrow.Table.from_pylist(rows[:place]).schema
        types = ", ".join(f"{field.name}: {field.type}" for field in schema)
        why = f"row {self.rows + 1} does not fit the types of the rows before it ({types}): {error}"
        return WriteError(self.path, why, "Return one type a column, or write JSONL.")

    def _end(self) -> None:
        import pyarrow
        import pyarrow.parquet

        self._write_group()  # if this fails, the rows before the odd one are held, and written by the next call
        if self._table is None:
            self._table = pyarrow.parquet.ParquetWriter(self._file.stream, pyarrow.schema([]))
        self._table.close()
