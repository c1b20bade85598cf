"""A pandas DataFrame as Arrow's batches: converted a piece at a time, columns of numbers without a copy."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any

from plait.surface.batches import Batches, check_columns
from plait.surface.source import ReadError

__all__ = ["batches_of_pandas", "table_of_pandas"]

NAME = "pandas.DataFrame"


def batches_of_pandas(frame: Any, columns: list[str] | None = None) -> Batches:
    """The batches of a DataFrame, each converted when it is wanted.

    An index that has a name is a column like any other and comes first; one without is left out. What pandas takes for
    missing (NaN, NaT, NA, None) is null.

    Raises:
        ReadError: two columns have the same name, or one that was asked for is not there.
    """
    names = _names(frame)
    check_columns(NAME, names, columns)

    @functools.cache
    def schema() -> Any:
        """The types of all rows, which the first ones do not tell where a column holds any objects."""
        import pyarrow

        return pyarrow.Schema.from_pandas(_piece(frame, names, columns), preserve_index=False)

    def read(rows: int) -> Iterator[Any]:
        import pyarrow

        for start in range(0, len(frame), rows):
            with _told():
                piece = _piece(frame.iloc[start : start + rows], names, columns)
                batch = pyarrow.RecordBatch.from_pandas(piece, schema=schema(), preserve_index=False, nthreads=1)
            yield batch

    return Batches(NAME, read, lambda: len(frame), lambda: [len(frame)])


def table_of_pandas(frame: Any) -> Any:
    """A whole DataFrame as a `pyarrow.Table`.

    Raises:
        ReadError: two columns have the same name, or one holds objects of which Arrow knows nothing.
    """
    import pyarrow

    with _told():
        return pyarrow.Table.from_pandas(_piece(frame, _names(frame), None), preserve_index=False)


def _names(frame: Any) -> list[str]:
    names = [str(name) for name in [*_index(frame), *frame.columns]]
    name, times = max(Counter(names).items(), key=lambda named: named[1], default=("", 0))
    if times > 1:
        raise ReadError(NAME, None, f"it has {times} columns {name!r}", "Rename all but one of them.")
    return names


def _index(frame: Any) -> list[Any]:
    return [name for name in frame.index.names if name is not None]


def _piece(rows: Any, names: list[str], columns: list[str] | None) -> Any:
    """`rows` with the named parts of the index as columns, every name as text; the columns' data is not copied."""
    index = _index(rows)
    if index:
        rows = rows.reset_index(level=index)
    if list(rows.columns) != names:
        rows = rows.set_axis(names, axis=1)
    return rows if columns is None else rows[columns]


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What Arrow says of a column that it cannot hold, as an error of the input."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        remedy = "Make each column of one type, or iterate frame.to_dict('records'): its rows hold any objects."
        said = "; ".join(str(part) for part in error.args)
        raise ReadError(NAME, None, f"Arrow cannot hold it: {said}", remedy) from None
