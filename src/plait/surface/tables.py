"""Results as one table: of Arrow, pandas or Polars, built a group of rows at a time."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from plait.failure import Failure
from plait.surface.arrow import is_table, tables_of
from plait.surface.batches import needs_pyarrow
from plait.surface.columns import BARE, Misfit, Rows, cast, fitted, table_of
from plait.surface.encode import as_row, is_row

__all__ = ["Misfit", "to_arrow", "to_pandas", "to_polars"]

#: The column of results that have no names for their values.
ALONE = "value"


def to_arrow(results: Iterable[Any], schema: Any = None) -> Any:
    """The results as a `pyarrow.Table`.

    Results are rows - dicts, dataclasses, named tuples; anything else fills a column `value` - or tables: record
    batches, Arrow tables, DataFrames of pandas or Polars, which are put together without a copy where their columns are
    the same. Columns are those of all rows in the order in which they came, null where a row has none. A column's type
    holds all its values exactly: integers become floats when floats come, provided that none is too large.

    **Cost** memory: the table's, and some 30,000 rows.

    Parameters:
        schema: a `pyarrow.Schema`: these columns and types, and no others.

    Raises:
        MissingExtra: pyarrow is not installed.
        Misfit: a `TypeError` that names the first row, and its column, which does not fit those before it; or no
            row has a column.
    """
    pyarrow = needs_pyarrow("A table of results")
    growing = _Growing(schema)
    for result in results:
        growing.add(result)
    growing.close_group()
    if growing.bare:
        raise Misfit(1, None, BARE, "Name at least one column, with None where there is nothing.")
    if not growing.pieces:
        return (growing.schema or pyarrow.schema([])).empty_table()
    # Earlier pieces know nothing of what came later.
    return pyarrow.concat_tables(
        piece if piece.schema.equals(growing.schema, check_metadata=True) else cast(piece, growing.schema, before)
        for before, piece in growing.pieces
    )


def to_pandas(results: Iterable[Any], schema: Any = None) -> Any:
    """The results as a pandas DataFrame, by way of `to_arrow`; integers with missing values become floats there."""
    _needed("pandas")
    return to_arrow(results, schema).to_pandas(self_destruct=True)


def to_polars(results: Iterable[Any], schema: Any = None) -> Any:
    """The results as a Polars DataFrame, by way of `to_arrow`; columns are not copied."""
    polars = _needed("polars")
    return polars.from_arrow(to_arrow(results, schema), rechunk=False)


def _needed(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        error.add_note(f"Results as a table of {library} need it: pip install {library}")
        raise


class _Growing:
    """Pieces of a table, and the columns that hold them all."""

    def __init__(self, schema: Any) -> None:
        self.pieces: list[tuple[int, Any]] = []
        self.schema = schema
        self._given = schema is not None
        self._rows, self._count = Rows(), 0
        self._named: bool | None = None

    def add(self, result: Any) -> None:
        if type(result) is dict:  # as most are
            row, named = result, True
        elif is_table(result):
            self._add_tables(result)
            return
        else:
            row, named = as_row(result, ALONE), is_row(result)
        if self._named is not named or isinstance(result, Failure):
            self._check_kind(result, named)
        try:
            full = self._rows.add(row)
        except (TypeError, ValueError, RecursionError) as error:
            raise Misfit(self._place(), None, str(error), "Return what Arrow can hold.") from None
        if full:
            self.close_group()

    def _add_tables(self, result: Any) -> None:
        self.close_group()
        fit = cast if self._given else fitted
        for table in tables_of(result):
            self._append(fit(table, self.schema, self._count))

    def _place(self) -> int:
        """The row that is being added, from 1."""
        return self._count + len(self._rows.held) + 1

    def _check_kind(self, result: Any, named: bool) -> None:
        if isinstance(result, Failure):
            raise Misfit(self._place(), None, "it is a Failure, not a result", 'on_error="skip" leaves failures out.')
        if self._named is not None:
            now, before = ("names columns", "did not") if named else ("names no columns", "did")
            why = f"its result, of type {type(result).__name__}, {now}, those before {before}"
            raise Misfit(self._place(), None, why, "Return one kind.")
        self._named = named

    @property
    def bare(self) -> bool:
        """Whether there are rows, but no columns."""
        return self._count > 0 and not len(self.schema)

    def close_group(self) -> None:
        rows = self._rows.take()
        if rows:
            self._append(table_of(rows, self.schema, self._count, exact=self._given))

    def _append(self, table: Any) -> None:
        self.schema = table.schema
        self.pieces.append((self._count, table))
        self._count += table.num_rows
