"""`key_of`: a value's content key, the same in every process and run, and another one for every other value.

    plain data ------------------------------> MessagePack, dicts in order of their keys --> BLAKE2b, 16 bytes
    anything else -> its form: plain data and extensions, each a tag and the encoded parts --^

Types count: `1`, `1.0`, `True`, `"1"`, `b"1"`, `[1]` and `(1,)` have seven keys. The order of a dict's entries and of a
set's members does not count. What has no form is refused: a key that missed a part of the value would replay a wrong
result.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import struct
import sys
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from plait.journal.plain import DEEPEST, SCALARS, is_plain
from plait.journal.recorded import KEY

__all__ = ["Unkeyable", "canonical", "key_of"]

_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_TEXT: frozenset[type] = frozenset({str})

#: The extensions. Numbers and tags are part of what is stored: never give one another meaning.
TUPLE, SET, FROZENSET, INTEGER, TEXT, DICT, TAGGED = 1, 2, 3, 4, 5, 6, 7


class Unkeyable(Exception):
    """A value has no content key; becomes a `JournalError` where the journal's name is known."""


def key_of(value: Any) -> bytes:
    """The content key of a value, `KEY` bytes.

    Raises:
        Unkeyable: a part of it is of a type whose content is not known; the message names it.

    **Cost**: about 1 us for a number or short text, 5 us for a dict of 1 KB, 2 ns a byte of an array.
    """
    return blake2b(canonical(value), digest_size=KEY).digest()


def canonical(value: Any) -> bytes:
    """The bytes of which the key is made."""
    try:
        if is_plain(value, SCALARS, _TEXT):
            return _encode(value)
    except (OverflowError, UnicodeEncodeError):
        pass  # a large integer, or half a surrogate pair
    return _encode(_form(value, DEEPEST))


def _form(value: Any, levels: int) -> Any:
    """`value` as plain data and extensions."""
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 64 else Ext(INTEGER, _large(value))
    if kind in SCALARS:
        return value
    if levels <= 0:
        raise Unkeyable(f"it is nested more than {DEEPEST} levels deep, or contains itself")
    if kind is list:
        return [_form(part, levels - 1) for part in value]
    if kind is tuple:
        return Ext(TUPLE, _encode([_form(part, levels - 1) for part in value]))
    if kind is dict:
        return _dict(value, levels)
    if kind is set or kind is frozenset:
        members = sorted(_encode(_form(part, levels - 1)) for part in value)
        return Ext(SET if kind is set else FROZENSET, _encode(members))
    tag, parts = _parts(value, kind)
    return Ext(TAGGED, _encode([tag, _form(parts, levels - 1)]))


def _text(value: str) -> Any:
    try:
        value.encode()
        return value
    except UnicodeEncodeError:
        return Ext(TEXT, value.encode("utf-8", "surrogatepass"))


def _large(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _dict(value: dict[Any, Any], levels: int) -> Any:
    forms = [(_form(key, levels - 1), _form(part, levels - 1)) for key, part in value.items()]
    if all(type(key) is str for key, _ in forms):
        return dict(forms)
    return Ext(DICT, _encode(sorted([_encode(key), _encode(part)] for key, part in forms)))


def _parts(value: Any, kind: type) -> tuple[str, Any]:
    """What a value of no built-in type is: a tag for its type, and what it consists of."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    known = _STANDARD.get(name)
    if known is not None:
        return name, known(value)
    if kind.__module__.partition(".")[0] == "pathlib":
        return f"pathlib.{kind.__name__}", str(value)
    if isinstance(value, enum.Enum):
        return f"{kind.__module__}:{kind.__qualname__}", _member(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and (kind in (numpy.ndarray, numpy.memmap) or isinstance(value, numpy.generic)):
        return ("numpy.generic" if isinstance(value, numpy.generic) else name), _array(numpy.asarray(value))
    names = _fields(value, kind, name)
    return f"{kind.__module__}:{kind.__qualname__}", {field: _attribute(value, field) for field in names}


def _member(value: enum.Enum) -> list[Any]:
    """A member by its name; a combination of flags has none of its own."""
    return [value.name] if value.name is not None else [None, value.value]


def _fields(value: Any, kind: type, name: str) -> Iterable[str]:
    """The names of all that a record consists of."""
    if isinstance(value, tuple):
        if len(getattr(kind, "_fields", ())) == len(value) and not getattr(value, "__dict__", None):
            return tuple(kind._fields)  # type: ignore[attr-defined]
        raise _unknown(name)
    if isinstance(value, (str, bytes, bytearray, int, float, complex, list, dict, set, frozenset)):
        raise _unknown(name)  # it may carry more than a field each
    if dataclasses.is_dataclass(value):
        return _declared(value, [field.name for field in dataclasses.fields(value)], name, "__dataclass_fields__")
    if isinstance(value, msgspec.Struct):
        return _declared(value, value.__struct_fields__, name)
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is not None:
        return _declared(value, [attribute.name for attribute in attributes], name, "__attrs_attrs__")
    raise _unknown(name)


def _declared(value: Any, fields: Iterable[str], name: str, mark: str = "") -> Iterable[str]:
    """The fields of a record, if they are all that it has: it may carry others, or a class that inherits it slots."""
    kinds = type(value).__mro__
    undeclared = kinds[: next((at for at, kind in enumerate(kinds) if mark in vars(kind)), 0)]
    others = set(getattr(value, "__dict__", ())).difference(fields)
    if any(vars(kind).get("__slots__") for kind in undeclared) or not all(_is_cached(value, other) for other in others):
        raise _unknown(name)
    return fields


def _is_cached(value: Any, name: str) -> bool:
    """Whether an attribute is what a `cached_property` keeps, which follows from the others."""
    return isinstance(getattr(type(value), name, None), functools.cached_property)


def _unknown(name: str) -> Unkeyable:
    return Unkeyable(f"what a {name.removeprefix('builtins.')} consists of is not known")


def _attribute(value: Any, field: str) -> Any:
    try:
        return getattr(value, field)
    except Exception as error:
        kind = type(value)
        raise Unkeyable(f"the field {field!r} of a {kind.__module__}.{kind.__qualname__} cannot be read") from error


def _array(array: Any) -> list[Any]:
    """Data type, shape and content; of numbers a digest of their bytes, of anything else the elements."""
    dtype = array.dtype
    if dtype.names is not None:
        content: Any = [[name, _array(array[name])] for name in dtype.names]  # bytes between fields may be anything
    elif dtype.hasobject or dtype.kind not in "biufcSUmMV" or dtype.char in "gG":
        content = [repr(part) if dtype.char in "gG" else part for part in array.ravel().tolist()]
    else:
        content = blake2b(array.tobytes()).digest()
    return [dtype.str, dtype.name, list(array.shape), content]


def _when(value: Any) -> list[Any]:
    zone = value.tzinfo
    name = None if zone is None else str(getattr(zone, "key", None) or value.tzname())
    return [value.isoformat(), value.fold, type(zone).__qualname__, name]


def _strings(value: Any) -> str:
    return str(value)


#: What the standard library's values consist of, by the full name of their very type: nothing is imported for it.
_STANDARD: dict[str, Callable[[Any], Any]] = {
    "array.array": lambda value: [value.typecode, value.tobytes()],
    "builtins.bytearray": bytes,
    "builtins.complex": lambda value: struct.pack(">dd", value.real, value.imag),
    "builtins.ellipsis": lambda value: None,
    "builtins.mappingproxy": lambda value: dict(value.items()),
    "builtins.memoryview": lambda value: [value.format, value.shape, value.tobytes()],
    "builtins.range": lambda value: [value.start, value.stop, value.step],
    "builtins.slice": lambda value: [value.start, value.stop, value.step],
    "collections.Counter": lambda value: dict(value.items()),
    "collections.OrderedDict": lambda value: [[key, part] for key, part in value.items()],
    "collections.deque": lambda value: [value.maxlen, list(value)],
    "datetime.date": lambda value: value.isoformat(),
    "datetime.datetime": _when,
    "datetime.time": _when,
    "datetime.timedelta": lambda value: [value.days, value.seconds, value.microseconds],
    "datetime.timezone": lambda value: [value.tzname(None), value.utcoffset(None)],
    "decimal.Decimal": _strings,
    "fractions.Fraction": lambda value: [value.numerator, value.denominator],
    "ipaddress.IPv4Address": _strings,
    "ipaddress.IPv4Network": _strings,
    "ipaddress.IPv6Address": _strings,
    "ipaddress.IPv6Network": _strings,
    "types.SimpleNamespace": vars,
    "uuid.UUID": lambda value: value.bytes,
}
