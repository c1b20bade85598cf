"""The rows of a batch as Python objects: those of pyarrow's `to_pylist`, sooner where that makes each by itself."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Iterator
from typing import Any

from plait.surface.batches import size_of
from plait.surface.source import ReadError

__all__ = ["columns_of", "rows_of"]

#: Rows that are made at once, as long as their batch takes no more than these bytes: Python takes several times that.
AT_ONCE, AT_ONCE_BYTES = 4096, 4 << 20


def rows_of(batch: Any, name: str) -> Iterator[dict[str, Any]]:
    """The rows of a batch as dicts; as many at once as are small.

    Raises:
        ReadError: two columns have the same name, of which a dict would lose one; says so of `name`.
    """
    names = batch.schema.names
    if len(set(names)) < len(names):
        doubled = next(column for column in names if names.count(column) > 1)
        raise ReadError(name, None, f"it has two columns {doubled!r}", "Rename one, or read it in batches.")
    if not names:
        yield from ({} for _ in range(batch.num_rows))
        return
    at_once = max(1, min(AT_ONCE, AT_ONCE_BYTES * batch.num_rows // max(1, size_of(batch))))
    made = _maker(tuple(names))
    for start in range(0, batch.num_rows, at_once):
        yield from made(columns_of(batch.slice(start, at_once)))


def columns_of(batch: Any) -> list[list[Any]]:
    """The values of each column of a batch."""
    return [_values(column) for column in batch.columns]


@functools.lru_cache(64)
def _maker(names: tuple[str, ...]) -> Callable[[list[list[Any]]], list[dict[str, Any]]]:
    """A function that makes rows of columns. Its text names the columns: half the time of `dict(zip(names, row))`."""
    if len(names) > 100:
        return lambda columns: [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    parts = ", ".join(f"{name!r}: v{place}" for place, name in enumerate(names))
    values = ", ".join(f"v{place}" for place in range(len(names)))
    maker: Callable[[list[list[Any]]], list[dict[str, Any]]]
    maker = eval(f"lambda columns: [{{{parts}}} for {values}, in zip(*columns)]")
    return maker


def _values(column: Any) -> list[Any]:
    import pyarrow.types as types

    kind = column.type
    if types.is_dictionary(kind):
        words = [*_values(column.dictionary), None]
        return [words[-1 if place is None else place] for place in column.indices.to_pylist()]
    values: list[Any] | None = None
    if types.is_date32(kind) or (types.is_timestamp(kind) and kind.unit != "ns"):
        values = _dates(column)
    return column.to_pylist() if values is None else values


def _dates(column: Any) -> list[Any] | None:
    """By way of NumPy, a twentieth of the time; `None` where that is not there, or a date is out of Python's years."""
    zone = getattr(column.type, "tz", None)
    try:
        found: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
    except ImportError:
        return None
    if int in set(map(type, found)):
        return None
    if zone is None:
        return found
    first = next((place for place, value in enumerate(found) if value is not None), None)
    if first is None:
        return found
    zone, utc = column[first].as_py().tzinfo, datetime.UTC
    return [None if value is None else value.replace(tzinfo=utc).astimezone(zone) for value in found]
