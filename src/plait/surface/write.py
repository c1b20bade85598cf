"""Sinks: JSONL, CSV and Parquet files that are either complete or not there.

    with plait.write.jsonl("out.jsonl") as out:
        for row in plait.map(fn, items):
            out.write(row)

Rows (or whole tables) go to `out.jsonl.partial`, which takes its final name when the block ends without an error, and
stays as it is (and is named in a note on the error) when it does not. `"-"` is standard output.
"""

from __future__ import annotations

import csv as _csv
import os
import stat
from typing import IO, Any

from plait.surface.batches import cut, needs_pyarrow
from plait.surface.decode import columns_of, rows_of
from plait.surface.destination import WriteError
from plait.surface.encode import as_row, csv_field, csv_fields, json_bytes
from plait.surface.write_parquet import ParquetWriter
from plait.surface.writer import RowRejected, Writer

__all__ = ["RowRejected", "WriteError", "Writer", "csv", "format_of", "jsonl", "parquet"]

Path = str | os.PathLike[str]
FORMATS = {"jsonl": (".jsonl", ".ndjson", ".json"), "csv": (".csv", ".tsv"), "parquet": (".parquet", ".pq")}

#: Rows of a table that are made text at once.
AT_ONCE = 4096


def jsonl(path: Path | IO[bytes]) -> Writer:
    """One JSON value a line, strict and in UTF-8; gzipped when the name ends in `.gz`.

    NumPy values, dataclasses, dates, paths, bytes (base64), sets and the like are converted; NaN becomes `null`.

    Raises (on entering): WriteError when the file cannot be made.
    """
    return _Jsonl(path)


def csv(path: Path | IO[bytes]) -> Writer:
    """CSV with the columns of the first row; a result that names no columns fills a column `result`.

    Raises (on entering): WriteError when the file cannot be made.
    """
    return _Csv(path)


def parquet(path: Path | IO[bytes]) -> Writer:
    """Parquet with the columns of the first row, each of a type that holds all its values as they are.

    A type grows with the rows that come: from nothing but `None` to whatever comes first, from integers to floats. When
    groups of rows are in the file already, it is written anew for that, a group at a time.

    Raises:
        MissingExtra: pyarrow is not installed.
        WriteError: `.gz` in the name, since Parquet is compressed by itself; on entering: the file cannot be made.
    """
    needs_pyarrow("Writing Parquet")
    writer = ParquetWriter(path)
    if writer.path.lower().endswith(".gz"):
        why = "Parquet is compressed by itself, and nothing reads it from a .gz"
        raise WriteError(writer.path, why, f"Call it {writer.path[:-3]}")
    return writer


def format_of(path: Path) -> str | None:
    """The format that an output's name tells, JSONL for a device or pipe; `None` if it tells none."""
    name = os.fspath(path)
    suffix = os.path.splitext(name.lower().removesuffix(".gz"))[1]
    found = next((format for format, suffixes in FORMATS.items() if suffix in suffixes), None)
    return found or ("jsonl" if _is_device(name) else None)


def _is_device(name: str) -> bool:
    try:
        mode = os.stat(name).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


class _Jsonl(Writer):
    def _add(self, row: Any) -> None:
        self._file.write(self._line(row))

    def _line(self, row: Any) -> bytes:
        try:
            return json_bytes(row) + b"\n"
        except (TypeError, ValueError) as error:
            raise self._rejected(error, "Return what JSON can hold: numbers, text, lists, dicts.") from None

    def _add_table(self, table: Any) -> None:
        for batch in cut(table.to_batches(), AT_ONCE):
            self._file.write(b"".join([self._line(row) for row in rows_of(batch, self.path)]))
            self.rows += batch.num_rows


class _Csv(Writer):
    def __init__(self, path: Path | IO[bytes]) -> None:
        super().__init__(path)
        tabs = os.path.splitext(self.path.lower().removesuffix(".gz"))[1] == ".tsv"
        # Only what could end a line is quoted by the module: with a bare "\n" it would write a bare "\r" in a field.
        self._lines = _Lines()
        self._writer = _csv.writer(self._lines, delimiter="\t" if tabs else ",", lineterminator="\r\n")

    def _begin(self) -> None:
        self._columns: list[str] = []
        self._known: set[str] = set()

    def _add(self, row: Any) -> None:
        fields = as_row(row)
        try:
            values = {name: csv_field(value) for name, value in fields.items()}
        except (TypeError, ValueError) as error:
            raise self._rejected(error, "Return what has a text form.") from None
        self._check(list(values))
        self._put([[values.get(name) for name in self._columns]])

    def _add_table(self, table: Any) -> None:
        names = table.schema.names
        if not (names or table.num_rows):
            return
        self._check(names)
        for batch in cut(table.to_batches(), AT_ONCE):
            columns = dict(zip(names, map(csv_fields, columns_of(batch)), strict=True))
            nothing = [None] * batch.num_rows
            self._put(zip(*(columns.get(name, nothing) for name in self._columns), strict=True))
            self.rows += batch.num_rows

    def _check(self, names: list[str]) -> None:
        """Refuse columns that the first row had not; those of the first are the header."""
        if not self._columns:
            if not names:
                remedy = "Return every column in every row, with None where there is nothing; or write JSONL."
                raise self._rejected("it has no columns, and the first row is to name those of all", remedy)
            if len(set(names)) < len(names):
                raise self._rejected("two of its columns have the same name", "Rename one.")
            self._columns, self._known = names, set(names)
            self._put([names])
        self._check_columns(set(names), self._known)

    def _put(self, rows: Any) -> None:
        self._writer.writerows(rows)
        self._file.write("".join(self._lines).encode("utf-8", "surrogateescape"))
        self._lines.clear()


class _Lines(list[str]):
    """Takes the lines of a `csv.writer`, which come one by one, and ends them as everybody does."""

    def write(self, line: str) -> None:
        self.append(line[:-2] + "\n")
