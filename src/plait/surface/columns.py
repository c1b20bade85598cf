"""Rows become columns: a group at a time, with types that hold every value as it is, or an error that names the one."""

from __future__ import annotations

import bisect
import datetime
import itertools
from collections.abc import Iterable
from typing import Any

from plait.errors import PlaitError
from plait.failure import shown
from plait.surface.encode import ARROW_KNOWS, arrow_value
from plait.surface.promote import promoted, promoted_schema, storable

__all__ = ["BARE", "Misfit", "Rows", "cast", "fitted", "table_of"]

#: A group of rows: large enough to compress well, small enough to hold.
GROUP_ROWS, GROUP_BYTES = 32_768, 32 << 20


#: What is wrong with rows of which none names a column: a table of no columns holds no rows either.
BARE = "it has no columns, and no other row has any"


class Misfit(PlaitError, TypeError):
    """A value that its column cannot hold along with those of the rows before.

    Parameters:
        row: its row, from 1.
        column: its column; `None` if it is the row as such.
        why: what does not fit.
    """

    def __init__(self, row: int, column: str | None, why: str, remedy: str = "Return one type a column.") -> None:
        self.row, self.column, self.why = row, column, why
        #: Where and why, without what to do.
        self.said = f"row {row}: {why}" if column is None else f"row {row}, column {column!r}: {why}"
        super().__init__(f"{self.said}. {remedy}")


class Rows:
    """Rows that wait to become a table together."""

    def __init__(self) -> None:
        self.held: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, row: dict[str, Any]) -> bool:
        """Hold a row; true if they make a group now.

        Raises:
            TypeError, ValueError, RecursionError: Arrow cannot hold one of its values.
        """
        if ARROW_KNOWS.issuperset(map(type, row.values())):
            values = row.copy()  # it may be filled anew for the next
            for value in values.values():
                if type(value) in _LONG:
                    self._bytes += len(value)
        else:
            values = {name: arrow_value(value) for name, value in row.items()}
            self._bytes += sum(map(_weight, values.values()))
        self.held.append(values)
        return len(self.held) >= GROUP_ROWS or self._bytes >= GROUP_BYTES

    def take(self) -> list[dict[str, Any]]:
        """Those that are held, and begin anew."""
        rows, self.held, self._bytes = self.held, [], 0
        return rows


_LONG = frozenset({str, bytes})


def _weight(value: Any) -> int:
    """About the bytes of a value that is not of one size."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, (list, dict)):
        return 32 * len(value)  # a number, and what points at it
    return getattr(value, "nbytes", 0)


def table_of(rows: list[dict[str, Any]], schema: Any, before: int, *, exact: bool = False) -> Any:
    """The rows as a `pyarrow.Table` with the columns of `schema` and those that are new, each type grown as needed.

    Parameters:
        schema: of the rows before these; `None`: there are none.
        before: how many they are, for messages.
        exact: nothing grows: what `schema` does not hold is an error.

    Raises:
        Misfit: names the first row (and its column) that does not fit those before it.
    """
    import pyarrow

    held = {} if schema is None else {field.name: field for field in schema}
    fields, arrays, odd = [], [], []
    for name in dict.fromkeys(itertools.chain(held, itertools.chain.from_iterable(rows))):
        field = held.get(name)
        if field is None:
            _check_new(name, rows, before, exact)
        values = [row.get(name) for row in rows]
        try:
            array = _array(values, None if field is None else field.type, exact)
        except _NO_ARRAY:
            odd.append(_first_odd(values, None if field is None else field.type, exact, name, before))
            continue
        arrays.append(array)
        field = pyarrow.field(name, array.type) if field is None else field.with_type(array.type)
        fields.append(field.with_nullable(field.nullable or array.null_count > 0))
    if odd:
        raise min(odd, key=lambda misfit: misfit.row)
    metadata = None if schema is None else schema.metadata
    return _table(arrays, pyarrow.schema(fields, metadata=metadata), len(rows))


def _table(arrays: list[Any], schema: Any, rows: int) -> Any:
    """The table, which has its rows even while it has no columns that say how many."""
    import pyarrow

    if not arrays:
        return pyarrow.table({"": pyarrow.nulls(rows)}).select([])
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def _check_new(name: Any, rows: list[dict[str, Any]], before: int, exact: bool) -> None:
    if exact or not isinstance(name, str):
        place = before + 1 + next(place for place, row in enumerate(rows) if name in row)
        if exact:
            raise Misfit(place, name, "the schema has no such column", "Add it there, or leave it out of the rows.")
        raise Misfit(place, None, f"names of columns are text, and {name!r} is not")


def fitted(table: Any, schema: Any, before: int) -> Any:
    """`table` as one that can follow those with `schema`, whose types grow as needed; not copied where they are equal.

    Raises:
        Misfit: names the column whose types do not mix.
    """
    if schema is None or table.schema.equals(schema):
        return table
    try:
        grown = promoted_schema(schema, table.schema)
    except KeyError as error:
        name = str(error.args[0])
        types = f"{table.schema.field(name).type} now, {schema.field(name).type} before"
        raise Misfit(before + 1, name, f"its type has changed: {types}") from None
    return cast(table, grown, before)


def cast(table: Any, schema: Any, before: int = 0) -> Any:
    """`table` with exactly the columns of `schema`, null where it has none.

    Raises:
        Misfit: a value would not stay what it is; there are columns of one name, or such as `schema` has not.
    """
    import pyarrow

    names = table.schema.names
    for name in names:
        if names.count(name) > 1:
            raise Misfit(before + 1, name, "the table has two columns of this name", "Rename one of them.")
        if name not in schema.names:
            raise Misfit(before + 1, name, "there is no such column in the schema", "Leave it out.")
    columns = []
    for field in schema:
        if field.name in names:
            columns.append(_cast(table.column(field.name), field.type, field.name, before))
        else:
            columns.append(pyarrow.nulls(table.num_rows, field.type))
    return _table(columns, schema, table.num_rows)


def _cast(column: Any, kind: Any, name: str, before: int) -> Any:
    import pyarrow
    import pyarrow.types as types

    if column.type.equals(kind):
        return column
    try:
        if types.is_dictionary(column.type):
            column = column.cast(storable(column.type))  # Arrow takes no words of a view apart
        return column.cast(kind)
    except pyarrow.ArrowException as error:

        def fails(count: int) -> bool:
            try:
                column.slice(0, count).cast(kind)
            except pyarrow.ArrowException:
                return True
            return False

        place = bisect.bisect_left(range(1, len(column) + 1), True, key=fails)
        value = shown(column[place].as_py(), 60) if place < len(column) else f"a column of {column.type}"
        raise Misfit(before + place + 1, name, f"{value} ({column.type}) does not fit {kind}: {error}") from None


#: What Arrow raises of values that are no column: its own errors have these for parents.
_NO_ARRAY = (TypeError, ValueError, OverflowError, NotImplementedError)


def _array(values: list[Any], held: Any, exact: bool) -> Any:
    """The values of a column as an Arrow array, of the type that they and those before have in common."""
    import pyarrow

    if exact:
        return pyarrow.array(values, type=held)
    found = pyarrow.array(values)
    if (mixed := _mixed(values, found.type)) is not None:
        raise TypeError(mixed)
    kind = found.type if held is None else promoted(held, found.type)
    if kind is None:
        raise TypeError("")
    return found if found.type.equals(kind) else found.cast(kind)


def _mixed(values: Iterable[Any], kind: Any) -> str | None:
    """What is mixed in `values` without a word of Arrow's: it would cut times to dates, drop zones, take text apart."""
    import pyarrow.types as types

    if not _may_be_mixed(kind):
        return None
    there = [value for value in values if value is not None]
    if types.is_struct(kind):
        inside = (_mixed((part.get(field.name) for part in there), field.type) for field in kind)
        return next((mixed for mixed in inside if mixed), None)
    if types.is_nested(kind):
        return _mixed(itertools.chain.from_iterable(there), kind.value_type)
    if types.is_date(kind):
        return "dates and times are mixed" if any(isinstance(value, datetime.datetime) for value in there) else None
    if types.is_binary(kind):
        return "text and bytes are mixed" if any(isinstance(value, str) for value in there) else None
    aware = {value.tzinfo is not None for value in there if value == value}  # which NaT is not
    return "times with and without a zone are mixed" if len(aware) > 1 else None


def _may_be_mixed(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_nested(kind):
        return any(_may_be_mixed(kind.field(place).type) for place in range(kind.num_fields))
    return bool(types.is_date(kind) or types.is_timestamp(kind) or types.is_binary(kind))


def _first_odd(values: list[Any], held: Any, exact: bool, name: str, before: int) -> Misfit:
    """The error for the first of `values` that does not fit those before it."""

    def fault(count: int) -> Exception | None:
        try:
            _array(values[:count], held, exact)
        except _NO_ARRAY as error:
            return error
        return None

    place = bisect.bisect_left(range(1, len(values) + 1), True, key=lambda count: fault(count) is not None)
    said, value = str(fault(place + 1)), values[place]
    so_far = held if not place else _array(values[:place], held, exact).type
    if so_far is None or str(so_far) == "null":
        return Misfit(before + place + 1, name, f"{shown(value, 60)} cannot be stored: {said}")
    held_by = f"the schema's {so_far}" if exact else f"the rows before it, of type {so_far}"
    why = f"{shown(value, 60)} ({type(value).__name__}) does not fit {held_by}"
    return Misfit(before + place + 1, name, f"{why}: {said}" if said else why)
