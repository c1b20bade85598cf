"""A table in memory as a source: of its rows, or of batches that share its memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from plait.surface.arrow import batches_of
from plait.surface.batches import BATCH_ROWS, batch_size, cut
from plait.surface.decode import rows_of
from plait.surface.source import Source

__all__ = ["table"]


def table(table: Any, *, batches: bool | int | None = None, columns: list[str] | None = None) -> Source[Any]:
    """The rows of a table as dicts, or its batches.

    A table is a pandas or Polars DataFrame, a pyarrow `Table`, `RecordBatch`, `RecordBatchReader` or `Dataset`, or
    whatever else has `__arrow_c_stream__` or `__arrow_c_array__`. Values are those of pyarrow's `to_pylist`; what
    pandas takes for missing (NaN, NaT, NA) is `None`. The index of a pandas DataFrame is a column if it has a name,
    else it is left out.

    **Shape** can be iterated again, but for a `RecordBatchReader`, which gives its batches once. **Cost** rows: a few
    thousand at a time in memory. Batches: slices; nothing is copied where the table's own form is Arrow's (Arrow,
    Polars, numbers of pandas). A slice that goes to a worker process takes along its own rows only.

    Parameters:
        batches: `True`: items are `pyarrow.RecordBatch`es of at most 65,536 rows; a number: of at most so many. Where a
            table lies in pieces, a piece's end ends a batch.
        columns: these only, in this order.

    Raises:
        MissingExtra: pyarrow is not installed.
        ReadError: it is no table, or has no such column; while iterating: Arrow cannot hold it, or two columns of its
            rows have the same name.
    """
    size = batch_size(batches)
    whole = batches_of(table, columns)

    def pieces() -> Iterator[Any]:
        return cut(whole.read(size or BATCH_ROWS), size or BATCH_ROWS)

    def rows() -> Iterator[dict[str, Any]]:
        return itertools.chain.from_iterable(rows_of(piece, whole.name) for piece in pieces())

    def count() -> int | None:
        return whole.rows() if size is None else whole.count(size)

    return Source(whole.name, "table", rows if size is None else pieces, count)
