"""Parquet as a sink: rows become Arrow's columns in groups, tables are taken as they are."""

from __future__ import annotations

import os
from typing import IO, Any

from plait.surface import columns
from plait.surface.batches import size_of
from plait.surface.columns import BARE, Misfit, Rows, cast, fitted, table_of
from plait.surface.destination import WriteError
from plait.surface.encode import as_row
from plait.surface.promote import storable
from plait.surface.writer import Writer

__all__ = ["ParquetWriter"]

REMEDY = "Return one type a column, or write JSONL."


class ParquetWriter(Writer):
    """Made by `plait.write.parquet`.

        rows --> held until they make a group --> table, types grown as needed --+
        tables ------------------------------------------------------------------+--> pieces --> file

    When a type has grown and there are groups in the file, they are first written anew with it.
    """

    def __init__(self, path: str | os.PathLike[str] | IO[bytes]) -> None:
        super().__init__(path)
        self._begin()

    def _begin(self) -> None:
        self._held = Rows()
        #: The columns of the first row, and of all that is a table already: in `_pieces`, or before in the file.
        self._known: set[str] = set()
        self._schema: Any = None
        self._pieces: list[Any] = []
        self._piece_bytes = 0
        self._tabled = self._filed = 0
        self._file_of: _GroupFile | None = None

    def _add(self, row: Any) -> None:
        values = as_row(row)
        if self._known:
            self._check_columns(values.keys(), self._known)
        elif not all(isinstance(name, str) for name in values):
            raise self._rejected("the names of its columns are not text", "Name them by text; or write JSONL.")
        try:
            full = self._held.add(values)
        except (TypeError, ValueError, RecursionError) as error:
            raise self._rejected(error, "Return what Arrow can hold.") from None
        self._known = self._known or set(values)
        if full:
            self._close_group()

    def _close_group(self) -> None:
        rows = self._held.take()
        if not rows:
            return
        try:
            self._append(table_of(rows, self._schema, self._tabled))
        except Misfit as odd:
            fitting = rows[: max(0, odd.row - 1 - self._tabled)]
            if fitting:
                self._append(table_of(fitting, self._schema, self._tabled))
            self.rows = self._tabled
            raise WriteError(self.path, odd.said, REMEDY) from None
        except WriteError:
            self.rows = self._tabled
            raise

    def _add_table(self, table: Any) -> None:
        names = set(table.schema.names)
        self._check_columns(names, self._known or names)
        self._close_group()
        try:
            self._append(fitted(table, self._schema, self._tabled))
        except Misfit as odd:
            raise self._rejected(f"column {odd.column!r}: {odd.why}", REMEDY) from None
        self._known = self._known or names
        self.rows += table.num_rows

    def _append(self, table: Any) -> None:
        """Add a piece, the types of those before grown to its own."""
        schema = table.schema
        for place, field in enumerate(schema):
            schema = schema.set(place, field.with_type(storable(field.type)))
        table = cast(table, schema)
        if self._schema is not None and not schema.equals(self._schema):
            grown = [cast(piece, schema) for piece in self._pieces]
            if self._file_of is not None:
                self._write_anew(self._file_of, schema)
            self._pieces = grown
        self._schema = schema
        self._pieces.append(table)
        self._piece_bytes += size_of(table)
        self._tabled += table.num_rows
        if not len(schema):
            return  # rows without columns wait for those that have some
        if self._tabled - self._filed >= columns.GROUP_ROWS or self._piece_bytes >= columns.GROUP_BYTES:
            self._write_pieces()

    def _write_pieces(self) -> None:
        import pyarrow

        pieces, self._pieces, self._piece_bytes = self._pieces, [], 0
        try:
            if self._file_of is None:
                schema = pyarrow.schema([]) if self._schema is None else self._schema
                self._file_of = _GroupFile(self._file.stream, schema)
            if pieces:
                self._file_of.add(pyarrow.concat_tables(pieces))
        except pyarrow.ArrowException as error:
            self.rows = self._tabled = self._filed
            raise self._not_held(error) from None
        self._filed = self._tabled

    def _write_anew(self, file: _GroupFile, schema: Any) -> None:
        import pyarrow

        if self.partial is None:
            name = next(field.name for field in schema if not field.equals(self._schema.field(field.name)))
            types = f"{schema.field(name).type} now, {self._schema.field(name).type} before"
            raise Misfit(self._tabled + 1, name, f"its type has changed ({types}), and a stream cannot be written anew")
        try:
            self._file_of = self._copied(file, schema)
        except (Misfit, pyarrow.ArrowException) as error:
            self._file_of = self._copied(file, self._schema)  # so that more can be added to it
            raise (error if isinstance(error, Misfit) else self._not_held(error)) from None

    def _not_held(self, error: Exception) -> WriteError:
        return WriteError(self.path, f"Parquet cannot hold it: {str(error).rstrip('.')}", REMEDY)

    def _copied(self, file: _GroupFile, schema: Any) -> _GroupFile:
        """What is in the file, in another that has taken its place and takes more, with the types of `schema`."""
        import pyarrow.parquet

        file.end()
        with self._file.rewritten() as path:
            copy = _GroupFile(self._file.stream, schema)
            try:
                with pyarrow.parquet.ParquetFile(path) as old:
                    before = 0
                    for group in range(old.num_row_groups):
                        table = old.read_row_group(group)
                        copy.add(cast(table, schema, before))
                        before += table.num_rows
            except BaseException:
                copy.cut_off()
                raise
        return copy

    def _end(self) -> None:
        try:
            self._close_group()
            self._refuse_bare()
        finally:
            self._write_pieces()
            if self._file_of is not None:
                self._file_of.end()

    def _refuse_bare(self) -> None:
        if self._tabled and not len(self._schema):
            self.rows = self._tabled = 0
            self._pieces.clear()
            raise WriteError(self.path, f"row 1: {BARE}", "Return at least one column, with None; or write JSONL.")

    def _cut_off(self) -> None:
        if self._file_of is not None:
            self._file_of.cut_off()


class _GroupFile:
    """pyarrow's writer of a Parquet file, which can be left without an end."""

    def __init__(self, stream: Any, schema: Any) -> None:
        import pyarrow.parquet

        self.closed = False
        self._stream: Any = stream
        self._writer = pyarrow.parquet.ParquetWriter(self, schema)

    def add(self, table: Any) -> None:
        """Write a table as one group of rows, or several if it is very long."""
        self._writer.write_table(table)

    def end(self) -> None:
        """Write the index, without which it is no Parquet file."""
        self._writer.close()

    def cut_off(self) -> None:
        """Leave it without one; pyarrow writes it even when it only forgets a file."""
        self._stream = None
        self._writer.close()

    def write(self, data: Any) -> int:
        """Called by pyarrow."""
        if self._stream is not None:
            self._stream.write(data)
        return len(data)

    def flush(self) -> None:
        """Called by pyarrow."""
