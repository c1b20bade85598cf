"""The Arrow type that holds the values of two others exactly: how a column's type grows as rows come."""

from __future__ import annotations

from typing import Any

__all__ = ["promoted", "promoted_schema", "storable"]

_DIGITS = 19  # of a 64-bit integer


def promoted(one: Any, other: Any) -> Any:
    """The type for the values of both, which a cast that checks them does not change; `None` if there is none.

    Nothing grows into any type, integers into floats (if they are small enough, says the cast) and decimals, decimals
    and spans of time into finer ones, structs by new parts. Text, numbers, truth, dates and times do not mix.
    """
    import pyarrow
    import pyarrow.types as types

    if one.equals(other) or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    if types.is_integer(one) and types.is_integer(other):
        return _permitted(one, other)
    if types.is_floating(one) or types.is_floating(other):
        numbers = all(types.is_integer(kind) or types.is_floating(kind) for kind in (one, other))
        return None if not numbers else one if one.equals(other) else pyarrow.float64()
    if types.is_decimal(one) or types.is_decimal(other):
        return _decimal(one, other)
    if types.is_timestamp(one) and types.is_timestamp(other) and (one.tz is None) == (other.tz is None):
        return _permitted(one, pyarrow.timestamp(other.unit, one.tz))  # the moments are the same in any zone
    if any(has(one) and has(other) for has in (_is_text, _is_bytes)):
        return one
    if types.is_dictionary(one) or types.is_dictionary(other):
        return promoted(*(storable(kind.value_type) if types.is_dictionary(kind) else kind for kind in (one, other)))
    if types.is_struct(one) and types.is_struct(other):
        return _struct(one, other)
    if _is_list(one) and _is_list(other):
        return _list(one, other)
    spans = any(has(one) and has(other) for has in (types.is_time, types.is_duration))
    return _permitted(one, other) if spans else None


def promoted_schema(one: Any, other: Any) -> Any:
    """Schema `one`, its types grown by those of `other`, whose further columns come last.

    Raises:
        KeyError: a column's types do not mix; with the column's name.
    """
    import pyarrow

    later = {field.name: field for field in other}
    fields = []
    for field in one:
        new = later.pop(field.name, None)
        kind = field.type if new is None else promoted(field.type, new.type)
        if kind is None:
            raise KeyError(field.name)
        fields.append(field.with_type(kind).with_nullable(field.nullable or new is None or new.nullable))
    fields += [field.with_nullable(True) for field in later.values()]
    return pyarrow.schema(fields, metadata=one.metadata)


def storable(kind: Any) -> Any:
    """The type in which Parquet stores values of `kind`: views on text and bytes as text and bytes."""
    import pyarrow
    import pyarrow.types as types

    if types.is_string_view(kind) or types.is_binary_view(kind):
        return pyarrow.large_string() if types.is_string_view(kind) else pyarrow.large_binary()
    if types.is_dictionary(kind):
        return pyarrow.dictionary(kind.index_type, storable(kind.value_type), kind.ordered)
    if types.is_struct(kind):
        return pyarrow.struct([field.with_type(storable(field.type)) for field in kind])
    if types.is_list(kind) or types.is_large_list(kind):
        make = pyarrow.list_ if types.is_list(kind) else pyarrow.large_list
        return make(kind.value_field.with_type(storable(kind.value_type)))
    return kind


def _permitted(one: Any, other: Any) -> Any:
    import pyarrow

    schemas = [pyarrow.schema([("of", kind)]) for kind in (one, other)]
    try:
        return pyarrow.unify_schemas(schemas, promote_options="permissive").field("of").type
    except pyarrow.ArrowException:
        return None


def _decimal(one: Any, other: Any) -> Any:
    import pyarrow
    import pyarrow.types as types

    if not all(types.is_decimal(kind) or types.is_integer(kind) for kind in (one, other)):
        return None
    decimals = [kind if types.is_decimal(kind) else pyarrow.decimal128(_DIGITS, 0) for kind in (one, other)]
    scale = max(kind.scale for kind in decimals)
    digits = scale + max(kind.precision - kind.scale for kind in decimals)
    make = pyarrow.decimal128 if digits <= 38 else pyarrow.decimal256
    return make(digits, scale) if digits <= 76 else None


def _struct(one: Any, other: Any) -> Any:
    import pyarrow

    try:
        return pyarrow.struct(list(promoted_schema(pyarrow.schema(list(one)), pyarrow.schema(list(other)))))
    except KeyError:
        return None


def _list(one: Any, other: Any) -> Any:
    import pyarrow
    import pyarrow.types as types

    item = promoted(one.value_type, other.value_type)
    if item is None:
        return None
    if types.is_fixed_size_list(one) and getattr(other, "list_size", -1) == one.list_size:
        return pyarrow.list_(item, one.list_size)
    return pyarrow.large_list(item) if types.is_large_list(one) else pyarrow.list_(item)


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_list(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
