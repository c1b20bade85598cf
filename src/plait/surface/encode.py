"""What JSON, CSV and Parquet hold of a Python value."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import json
import math
import os
import uuid
from collections.abc import Mapping, Set
from typing import Any

__all__ = ["ARROW_KNOWS", "arrow_value", "as_row", "csv_field", "csv_fields", "is_row", "json_bytes", "plain"]

#: Arrow knows these as they are.
_NATIVE = (str, int, float, bool, bytes, type(None), datetime.date, datetime.time, datetime.timedelta, decimal.Decimal)
#: Their very types, of which most values are: looked up in a fifth of the time that `isinstance` takes.
ARROW_KNOWS = frozenset({*_NATIVE, datetime.datetime})
_TEXTUAL = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """One step towards what JSON can hold: what `json` calls for a value that it does not know.

    NumPy scalars and arrays become numbers and lists, dataclasses and mappings dicts, dates ISO 8601, durations
    seconds, bytes base64, paths, UUIDs and decimals text, enum members their value, sets lists.

    Raises:
        TypeError: there is no faithful form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (os.PathLike, uuid.UUID, decimal.Decimal)):
        return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return _ordered(value)
    if hasattr(value, "dtype") and callable(getattr(value, "tolist", None)):
        if getattr(value.dtype, "str", "")[1:] in ("M8[ns]", "m8[ns]"):
            value = value.astype(value.dtype.str.replace("ns", "us"))  # of nanoseconds, tolist() makes bare numbers
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form: {_excerpt(value)}")


def json_bytes(value: Any) -> bytes:
    """`value` as one line of strict JSON in UTF-8, without the newline. NaN and infinities become `null`.

    Raises:
        TypeError, ValueError: a part of it has no JSON form; the message shows the part.
    """
    try:
        try:
            text = _strict.encode(value)
        except ValueError:  # NaN, or a value that contains itself: the next line tells which
            text = _strict.encode(_finite(value))
    except RecursionError:
        raise ValueError("it contains itself, or is nested too deeply") from None
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as in names of files that are not UTF-8
        return json.dumps(json.loads(text)).encode()


_strict = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=plain)


def _finite(value: Any) -> Any:
    """`value` with `None` where a number is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    if isinstance(value, (str, int, type(None))):
        return value
    return _finite(plain(value))


def _ordered(values: Set[Any]) -> list[Any]:
    """A set's members in an order that is the same in every process, where they have one."""
    try:
        return sorted(values)
    except TypeError:
        return list(values)


def _excerpt(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def is_row(value: Any) -> bool:
    """True of what names its values: dicts, mappings, dataclasses and named tuples."""
    if isinstance(value, (dict, Mapping)):
        return True
    kind = type(value)
    return dataclasses.is_dataclass(kind) or (isinstance(value, tuple) and hasattr(kind, "_fields"))


def as_row(value: Any, alone: str = "result") -> dict[str, Any]:
    """A result as a table's row: what names its values by these names, anything else in a column called `alone`."""
    if isinstance(value, dict):
        return value
    if not is_row(value):
        return {alone: value}
    if isinstance(value, tuple):
        return dict(zip(value._fields, value, strict=True))  # type: ignore[attr-defined]
    row: dict[str, Any] = plain(value)
    return row


def csv_field(value: Any) -> Any:
    """A value as a CSV field: text, numbers and dates as they are, what has parts as JSON."""
    if type(value) in _TEXTUAL:
        return value
    if isinstance(value, (str, int, float)) and not isinstance(value, enum.Enum):
        return value
    if isinstance(value, (dict, list, tuple)):
        return json_bytes(value).decode()
    return csv_field(plain(value))


def csv_fields(values: list[Any]) -> list[Any]:
    """The values of a column as CSV fields."""
    return values if _TEXTUAL.issuperset(map(type, values)) else [csv_field(value) for value in values]


def arrow_value(value: Any) -> Any:
    """A value as Arrow takes it: dates, bytes, decimals and rows of NumPy numbers natively, the rest by `plain`."""
    if type(value) in ARROW_KNOWS:
        return value
    if isinstance(value, _NATIVE) and not isinstance(value, enum.Enum):
        return value
    if isinstance(value, dict):
        known = ARROW_KNOWS.issuperset(map(type, value.values()))
        return dict(value) if known else {key: arrow_value(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return list(value) if ARROW_KNOWS.issuperset(map(type, value)) else [arrow_value(part) for part in value]
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if getattr(value, "ndim", 0) == 1 and type(value).__name__ == "ndarray" and value.dtype.kind in "iufb":
        return value
    return arrow_value(plain(value))
