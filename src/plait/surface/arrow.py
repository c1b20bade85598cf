"""Tables of any library, through the Arrow interface: what is one, and its batches without a copy."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from plait.surface.batches import Batches, check_columns, needs_pyarrow
from plait.surface.pandas_frame import batches_of_pandas, table_of_pandas
from plait.surface.source import ReadError

__all__ = ["batches_of", "is_table", "tables_of"]

#: Formats whose files say at their end how many rows they hold.
_COUNTED = ("parquet", "arrow", "ipc", "feather")


def is_table(value: Any) -> bool:
    """True of what has rows and columns: a DataFrame, an Arrow table, batch or reader; not of a single column."""
    kind: Any = type(value)
    return _tabular(kind)


@functools.lru_cache(256)
def _tabular(kind: type) -> bool:
    if not (hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__arrow_c_array__")):
        return False
    if _library(kind) == "pyarrow":
        return hasattr(kind, "schema")
    return not hasattr(kind, "dtype")  # a column has one


def batches_of(table: Any, columns: list[str] | None = None) -> Batches:
    """The batches of `table`, which share its memory wherever its own form allows.

    Raises:
        MissingExtra: pyarrow is not installed.
        ReadError: it is no table, or has not these columns.
    """
    pyarrow = needs_pyarrow("Reading a table")
    library = _library(type(table))
    name = f"{library}.{type(table).__name__}"
    if _is_pandas(table):
        return batches_of_pandas(table, columns)
    if library == "pyarrow" and hasattr(table, "count_rows"):
        return _of_dataset(table, columns, name)
    if not is_table(table):
        raise _no_table(table, name)
    if isinstance(table, pyarrow.Table):
        return _of_arrow(table, columns, name)
    if isinstance(table, pyarrow.RecordBatch):
        return _of_arrow(pyarrow.Table.from_batches([table]), columns, name)
    if isinstance(table, pyarrow.RecordBatchReader):
        return _of_reader(table, columns, name)
    if library == "polars":
        return _of_arrow(_imported(table, name).read_all(), columns, name)
    return _of_stream(table, columns, name)


def tables_of(table: Any) -> Iterator[Any]:
    """`table`, of whatever library, as one `pyarrow.Table` that shares its memory; a reader as one for each batch.

    Raises:
        MissingExtra: pyarrow is not installed.
        ReadError: Arrow cannot hold it.
    """
    pyarrow = needs_pyarrow("A table as a result")
    if isinstance(table, pyarrow.RecordBatchReader):
        for batch in table:
            yield pyarrow.Table.from_batches([batch])
    elif isinstance(table, pyarrow.Table):
        yield table
    elif _is_pandas(table):
        yield table_of_pandas(table)
    else:
        yield _imported(table, f"{_library(type(table))}.{type(table).__name__}").read_all()


def _is_pandas(table: Any) -> bool:
    return _library(type(table)) == "pandas" and hasattr(table, "iloc") and hasattr(table, "columns")


def _library(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _no_table(table: Any, name: str) -> ReadError:
    if any(hasattr(table, name) for name in ("__arrow_c_stream__", "__arrow_c_array__", "dtype")):
        return ReadError(name, None, "this is a column, not a table", "Iterate it as it is, or make it a table of one.")
    if hasattr(table, "collect"):
        return ReadError(name, None, "this has not been computed yet", "Pass its .collect().")
    wants = "a pandas or Polars DataFrame, or whatever has __arrow_c_stream__ or __arrow_c_array__"
    return ReadError(name, None, "this is no table", f"plait.read.table takes {wants}.")


def _of_arrow(table: Any, columns: list[str] | None, name: str) -> Batches:
    check_columns(name, table.schema.names, columns)
    chosen = table if columns is None else table.select(columns)
    return Batches(name, lambda _: iter(chosen.to_batches()), lambda: int(table.num_rows), lambda: _lengths(chosen))


def _lengths(table: Any) -> list[int]:
    """The rows of each batch of `table`: one ends wherever a chunk of any of its columns does."""
    ends: set[int] = set()
    for column in table.columns:
        end = 0
        for chunk in column.chunks:
            end += len(chunk)
            ends.add(end)
    ordered = sorted(ends - {0})
    return [end - start for start, end in zip([0, *ordered], ordered, strict=False)]


def _of_dataset(dataset: Any, columns: list[str] | None, name: str) -> Batches:
    check_columns(name, dataset.schema.names, columns)

    def read(rows: int) -> Iterator[Any]:
        # Left to itself it reads 16 batches of 131,072 rows ahead, and of 4 files.
        yield from dataset.to_batches(columns=columns, batch_size=rows, batch_readahead=2, fragment_readahead=1)

    def count() -> int | None:
        format = getattr(getattr(dataset, "format", None), "default_extname", None)
        return int(dataset.count_rows()) if format in _COUNTED or name.endswith("InMemoryDataset") else None

    return Batches(name, read, count)


def _of_reader(reader: Any, columns: list[str] | None, name: str) -> Batches:
    check_columns(name, reader.schema.names, columns)
    unread = [reader]

    def read(_: int) -> Iterator[Any]:
        if not unread:
            remedy = "Pass reader.read_all(), a table, to read it more than once."
            raise ReadError(name, None, "a reader gives its batches once, and has been read", remedy)
        return _selected(unread.pop(), columns)

    return Batches(name, read, lambda: None)


def _of_stream(table: Any, columns: list[str] | None, name: str) -> Batches:
    def read(_: int) -> Iterator[Any]:
        reader = _imported(table, name)
        check_columns(name, reader.schema.names, columns)
        return _selected(reader, columns)

    def count() -> int | None:
        rows = getattr(table, "num_rows", None)
        return rows if isinstance(rows, int) else None

    return Batches(name, read, count)


def _selected(reader: Any, columns: list[str] | None) -> Iterator[Any]:
    return iter(reader) if columns is None else (batch.select(columns) for batch in reader)


def _imported(table: Any, name: str) -> Any:
    """`table` as a reader of batches; its columns stay where they are."""
    import pyarrow

    try:
        if hasattr(table, "__arrow_c_stream__"):
            return pyarrow.RecordBatchReader.from_stream(table)
        batch = pyarrow.record_batch(table)
        return pyarrow.RecordBatchReader.from_batches(batch.schema, [batch])
    except Exception as error:  # whatever the other library raises
        said = f"{type(error).__name__}: {error}"
        raise ReadError(name, None, f"it does not give its columns to Arrow ({said})", "") from error
