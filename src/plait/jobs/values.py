"""Values as they are stored: in MessagePack, and whether what will come back is what was given.

Beyond what MessagePack knows, msgspec brings dataclasses, structs, attrs classes, dates, UUIDs, Decimals, enums and
sets back as their annotation says. Added here: paths, and models of pydantic (through what they validate).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import msgspec

from plait.failure import shown

__all__ = ["a", "changed", "convert", "decoder", "encode", "is_open", "plainly", "usable"]

#: Types that stand for one another where an annotation, and not the value, says which it is to be.
_FAMILIES: tuple[tuple[type, ...], ...] = (
    (list, tuple),
    (set, frozenset),
    (dict,),
    (str,),
    (int, float, Decimal),
    (bytes, bytearray, memoryview),
)
_GONE = object()


def _plain(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if _is_model(type(value)):
        return value.model_dump(by_alias=True)
    if isinstance(value, str):  # of a class derived from it
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    raise TypeError(f"values of type {type(value).__name__} are not supported")


def _made(kind: type, value: Any) -> Any:
    if _is_path(kind):
        if type(value) is not str and not isinstance(value, kind):
            raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
        return kind(value)
    if _is_model(kind):
        return kind.model_validate(value)  # type: ignore[attr-defined]
    if isinstance(value, kind):  # what a group's callback is given in place of a part that failed
        return value
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _is_path(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, PurePath)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "model_dump")


#: A value's bytes.
encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
#: The plain data that bytes stand for.
plainly = msgspec.msgpack.Decoder().decode


def decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """What makes a `kind` of bytes."""
    return msgspec.msgpack.Decoder(kind, dec_hook=_made)


def convert(value: Any, kind: Any) -> Any:
    """A `kind`, of plain data."""
    return msgspec.convert(value, kind, dec_hook=_made)


def usable(kind: Any) -> Any:
    """`kind` if values of it can be told apart and stored, else `Any`."""
    if kind is None or kind is type(None):
        return None
    try:
        decoder(kind)
        info = msgspec.inspect.type_info(kind)
    except Exception:
        return Any
    if isinstance(info, msgspec.inspect.CustomType) and not (_is_path(info.cls) or _is_model(info.cls)):
        return Any
    return kind


def is_open(kind: Any) -> bool:
    """Whether a `kind` has a part of which its annotation does not say what it is."""
    return _has(msgspec.inspect.type_info(kind), msgspec.inspect.AnyType, set())


def _has(info: Any, wanted: type, seen: set[int]) -> bool:
    if isinstance(info, wanted):
        return True
    if isinstance(info, tuple | list):
        return any(_has(part, wanted, seen) for part in info)
    if not isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field) or id(info) in seen:
        return False
    seen.add(id(info))
    return any(_has(getattr(info, name), wanted, seen) for name in info.__struct_fields__ if name != "cls")


def changed(value: Any, again: Any, exact: bool) -> str | None:
    """How `again`, which is what `value` would come back as, differs from it, in words; `None`: it does not.

    Parameters:
        exact: whether their types must be the same; else the annotation has decided between similar ones.
    """
    was, is_ = type(value), type(again)
    if was is not is_ and (exact or not _similar(value, again)):
        return f"{a(was)} that would come back as {a(is_)}"
    if isinstance(value, dict):
        if len(value) != len(again):
            return f"a dict of {len(value)} entries that would come back with {len(again)}"
        return _first_change(value, again, exact) or _first_change(value.values(), again.values(), exact)
    if isinstance(value, list | tuple):
        return _first_change(value, again, exact)
    if isinstance(value, set | frozenset):
        if exact and {type(part) for part in value} != {type(part) for part in again}:
            return f"{a(was)} whose members would come back as others"
        return None if _equal(value, again) else f"{a(was)} that would come back as {shown(again, 60)}"
    names = _fields(was)
    if names is not None:
        parts = ((getattr(value, name, _GONE), getattr(again, name, _GONE)) for name in names)
        return next((found for one, other in parts if (found := changed(one, other, exact))), None)
    return None if _equal(value, again) else f"{shown(value, 60)} that would come back as {shown(again, 60)}"


def _first_change(values: Iterable[Any], others: Iterable[Any], exact: bool) -> str | None:
    pairs = zip(values, others, strict=False)
    return next((found for one, other in pairs if (found := changed(one, other, exact))), None)


def _similar(value: Any, again: Any) -> bool:
    return any(isinstance(value, family) and isinstance(again, family) for family in _FAMILIES)


def _equal(value: Any, again: Any) -> bool:
    try:
        return bool(value == again) or (value != value and again != again)  # NaN
    except Exception:
        return False


def _fields(kind: type) -> Iterable[str] | None:
    """The names of the parts of a record; `None`: it is none."""
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    attributes: Any = getattr(kind, "__attrs_attrs__", None)
    return [attribute.name for attribute in attributes] if attributes is not None else None


def a(kind: type) -> str:
    """The type with its article."""
    return f"{'an' if kind.__name__[0] in 'aeiouAEIO' else 'a'} {kind.__name__}"
