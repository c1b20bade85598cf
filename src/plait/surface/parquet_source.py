"""Parquet as a source: of its rows, or of its batches; one file, or those of a folder or glob."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

from plait.surface.batches import BATCH_ROWS, batch_size, check_columns, cut, needs_pyarrow
from plait.surface.decode import rows_of
from plait.surface.folders import files, paths_of
from plait.surface.source import ReadError, Source

__all__ = ["parquet"]

#: Bytes of a batch, about, where nobody says how many rows: one that is decoded into rows takes several times that.
ROWS_BYTES, BATCH_BYTES = 16 << 20, 64 << 20
#: Of so many files the rows are counted, some tenth of a millisecond each; those of more are estimated from these.
COUNTED_FILES = 500


def parquet(
    path: str | os.PathLike[str], *, batches: bool | int | None = None, columns: list[str] | None = None
) -> Source[Any]:
    """The rows of Parquet as dicts, decoded a batch at a time, or its batches.

    A folder stands for the `.parquet` and `.pq` files in it, at any depth; a glob for those that match; in the order of
    their names, each opened when its turn comes, each with its own columns. (`plait.read.table` of a
    `pyarrow.dataset.dataset` adds the columns that names of folders tell.)

    Parameters:
        batches: `True`: items are `pyarrow.RecordBatch`es of 65,536 rows, or fewer where those take more than some 64
            MiB; a number: of so many rows.
        columns: read these only; the others are not even decoded.

    Raises:
        MissingExtra: pyarrow is not installed.
        ReadError: there is no such file; while iterating: it is not Parquet, or has no such column.
    """
    name = os.fspath(path)
    if name == "-":
        raise ReadError(name, None, "Parquet cannot be read from a pipe: its index is at its end", "Give a file.")
    size = batch_size(batches)
    needs_pyarrow("Reading Parquet")
    names = _names(name)

    def read() -> Iterator[Any]:
        if size is None:
            return itertools.chain.from_iterable(_rows(each, columns) for each in names)
        return itertools.chain.from_iterable(_batches(each, columns, batches) for each in names)

    return Source(name, "parquet", read, lambda: _count(names, batches))


def _names(name: str) -> list[str]:
    if not os.path.isdir(name):
        return paths_of(name)
    found = [path for path in files(name) if path.lower().endswith((".parquet", ".pq"))]
    if not found:
        raise ReadError(name, None, "there is no Parquet file in this folder", "Their names end in .parquet or .pq.")
    return found


def _opened(name: str) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(name, memory_map=True, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise ReadError(name, None, f"this is not Parquet: {error}", "Name its real format.") from None


def _at_once(meta: Any, batches: bool | int | None) -> int:
    """The rows of a batch."""
    if batches is not True and batches:
        return batches
    wide: int = sum(meta.row_group(g).total_byte_size for g in range(meta.num_row_groups)) // max(1, meta.num_rows)
    return max(1, min(BATCH_ROWS, (BATCH_BYTES if batches else ROWS_BYTES) // max(1, wide)))


def _batches(name: str, columns: list[str] | None, batches: bool | int | None) -> Iterator[Any]:
    import pyarrow

    with _opened(name) as file:
        check_columns(name, file.schema_arrow.names, columns)
        rows = _at_once(file.metadata, batches)
        try:
            yield from cut(file.iter_batches(batch_size=rows, columns=columns), rows)
        except (pyarrow.ArrowException, OSError) as error:
            raise ReadError(name, None, f"it cannot be read to its end: {error}", "Is the file complete?") from None


def _rows(name: str, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    return itertools.chain.from_iterable(rows_of(batch, name) for batch in _batches(name, columns, None))


def _count(names: list[str], batches: bool | int | None) -> int:
    """Of all rows or batches, as far as files' ends tell."""
    found = 0
    for name in names[:COUNTED_FILES]:
        with _opened(name) as file:
            rows = int(file.metadata.num_rows)
            found += -(-rows // _at_once(file.metadata, batches)) if batches else rows
    return found if len(names) <= COUNTED_FILES else round(found * len(names) / COUNTED_FILES)
