"""`Batches`: a table as Arrow's record batches, which share its memory; and how they travel to another process."""

from __future__ import annotations

import contextlib
import copyreg
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from plait.errors import MissingExtra, OptionError
from plait.surface.source import no_column

__all__ = ["Batches", "batch_size", "check_columns", "cut", "needs_pyarrow", "size_of"]

#: Rows of a batch where nobody says how many: some milliseconds of work for most functions, as in pyarrow itself.
BATCH_ROWS = 65_536


@functools.cache
def needs_pyarrow(feature: str) -> Any:
    """The module pyarrow.

    Raises:
        MissingExtra: it is not installed; says that `feature` needs it.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtra(feature, "pyarrow", "parquet") from error
    copyreg.pickle(pyarrow.RecordBatch, _reduced)
    copyreg.pickle(pyarrow.Table, _reduced)
    return pyarrow


@dataclass(frozen=True)
class Batches:
    """A table as batches.

    Parameters:
        name: what it is, for messages.
        read: gives the batches: as they are, or, where they are made for it, of so many rows each.
        rows: how many rows there are, if that is known without reading them.
        lengths: the rows of each piece that the table lies in, if that is known.
    """

    name: str
    read: Callable[[int], Iterator[Any]]
    rows: Callable[[], int | None]
    lengths: Callable[[], list[int]] | None = None

    def count(self, rows: int) -> int | None:
        """How many batches of at most `rows` rows there are, if that is known."""
        if self.lengths is not None:
            return sum(-(-length // rows) for length in self.lengths())
        return None


def batch_size(batches: bool | int | None) -> int | None:
    """The most rows that a batch may have; `None`: rows are wanted, not batches.

    Raises:
        OptionError: it is neither of these.
    """
    if batches is None or batches is False:
        return None
    if batches is True:
        return BATCH_ROWS
    if not isinstance(batches, int) or batches < 1:
        raise OptionError("batches", batches, "it takes True, or the rows of a batch, from 1")
    return batches


def cut(batches: Iterable[Any], rows: int) -> Iterator[Any]:
    """The batches, in slices of at most `rows` rows that share their memory; empty ones are left out."""
    for batch in batches:
        if 0 < batch.num_rows <= rows:
            yield batch
        else:
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)


def check_columns(name: str, names: list[str], columns: Iterable[str] | None) -> None:
    """Raise ReadError when one of `columns` is not among `names`."""
    for column in columns or ():
        if column not in names:
            raise no_column(name, column, names)


def size_of(whole: Any) -> int:
    """The bytes of a batch's or table's own rows; of a slice not those of the rest."""
    import pyarrow

    try:
        return int(whole.nbytes)
    except pyarrow.ArrowException:  # before version 22 it knows nothing of views
        return int(whole.get_total_buffer_size())


def _reduced(whole: Any) -> Any:
    """What pickle makes of a batch or table. By itself it takes a slice for all that lies in the slice's buffers.

    10 rows of a table of a gigabyte would then be sent to a worker as a gigabyte, for every batch anew.
    """
    held, needed = whole.get_total_buffer_size(), size_of(whole)
    views = any(str(field.type) in _VIEWS for field in whole.schema)  # whose text counts as needed, all of it
    if held > 4096 and (views or held > needed + needed // 4):
        with contextlib.suppress(NotImplementedError):  # a type of which Arrow makes no copies
            whole = _compact(whole)
    return whole.__reduce__()


def _compact(whole: Any) -> Any:
    import pyarrow

    def copied(array: Any) -> Any:
        view = _VIEWS.get(str(array.type))
        if view is not None:  # whose copy would share the text itself
            array = array.cast(view).cast(array.type)
        return pyarrow.concat_arrays([array, array.slice(0, 0)])  # of one array alone it makes no copy

    def column(of: Any) -> Any:
        if isinstance(of, pyarrow.ChunkedArray):
            return pyarrow.chunked_array([copied(chunk) for chunk in of.chunks], type=of.type)
        return copied(of)

    return type(whole).from_arrays([column(of) for of in whole.columns], schema=whole.schema)


_VIEWS = {"string_view": "large_string", "binary_view": "large_binary"}
