"""`changed_part`: which part of a result a codec would change, how, and what to return instead."""

from __future__ import annotations

import dataclasses
import enum
import math
import os
from collections.abc import Mapping, Set
from typing import Any

from plait.failure import shown
from plait.journal.plain import DEEPEST, SCALARS

__all__ = ["Unfaithful", "changed_part", "kind_of"]

NAMES = {"msgpack": "MessagePack", "json": "JSON"}

#: Elements of a container that are looked at: the search is for a message.
LOOKED_AT = 100_000


class Unfaithful(Exception):
    """A result would not come back as it is: where, what is wrong with it, and what the function could return.

    Becomes a `JournalError` where the journal's name is known.
    """

    def __init__(self, where: str, problem: str, instead: str = "plain data") -> None:
        self.where, self.problem, self.instead = where, problem, instead
        super().__init__(f"{where} {problem}")


def kind_of(value: Any) -> str:
    """`"an int"`, `"a tuple"`."""
    name = type(value).__qualname__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def changed_part(value: Any, codec: str) -> Unfaithful:
    """The first part of `value` that the codec (`"msgpack"`, `"json"`) would change."""
    name = NAMES[codec]
    found = _search(value, "result", codec, DEEPEST)
    if found is None:
        return Unfaithful("result", f"would be changed by {name}", "plain data")
    where, problem, instead = found
    return Unfaithful(where, problem.replace("CODEC", name), instead)


def _search(value: Any, where: str, codec: str, levels: int) -> tuple[str, str, str] | None:
    kind = type(value)
    if kind is not dict and kind is not list:
        wrong = _scalar(value, codec) or _other(value)
        return (where, *wrong) if wrong else None
    if levels < 0:
        return where[:60] + "...", f"is nested more than {DEEPEST} levels deep, or contains itself", "something flatter"
    parts = value.items() if kind is dict else enumerate(value)
    for count, (key, part) in enumerate(parts):
        if count >= LOOKED_AT:
            break
        wrong = _key(key, codec) if kind is dict else None
        if wrong:
            return (f"the key {shown(key, 60)} of {where}", *wrong)
        found = _search(part, f"{where}[{shown(key, 60)}]", codec, levels - 1)
        if found:
            return found
    return None


def _key(key: Any, codec: str) -> tuple[str, str] | None:
    if codec == "json" and type(key) is not str:
        return f"is {kind_of(key)}, which CODEC makes text", "text as keys"
    return _scalar(key, codec) or _other(key)


def _scalar(value: Any, codec: str) -> tuple[str, str] | None:
    """What is wrong with a value of a plain type, if anything."""
    kind = type(value)
    if kind is int and codec == "msgpack" and not -(1 << 63) <= value < 1 << 64:
        return "is an integer of more than 64 bits, which CODEC cannot hold", "str(...)"
    if kind is int and codec == "json" and value.bit_length() > 10_000:
        return "is an integer of too many digits for CODEC", "hex(...)"
    if kind is float and codec == "json" and not math.isfinite(value):
        return f"is {value}, which CODEC cannot hold", "None"
    if kind is bytes and codec == "json":
        return "is bytes, which CODEC cannot hold", "text"
    if kind is str and not _is_unicode(value):
        return "is text with half a surrogate pair, which CODEC cannot hold", "os.fsencode(...)"
    return None


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _other(value: Any) -> tuple[str, str] | None:
    """How a value of any other type would come back."""
    kind = type(value)
    if kind in SCALARS:
        return None
    name = kind_of(value)
    for kinds, becomes, instead in _BECOMES:
        if isinstance(value, kinds):
            return f"is {name}, which CODEC makes {becomes}", instead
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return f"is {name}, which CODEC makes a dict", "dataclasses.asdict(...)"
    if kind.__module__.partition(".")[0] == "numpy":
        return f"is {name} of NumPy, which CODEC cannot hold", ".tolist()"
    if hasattr(value, "isoformat"):
        return f"is {name}, which CODEC makes text", ".isoformat()"
    return f"is {name}, which CODEC cannot hold", "plain data"


_BECOMES: tuple[tuple[Any, str, str], ...] = (
    (enum.Enum, "its value", "its .value"),
    (tuple, "a list", "a list"),
    (Set, "a list", "a sorted list"),
    (Mapping, "a dict", "dict(...)"),
    (list, "a list", "list(...)"),
    ((bytearray, memoryview), "bytes", "bytes(...)"),
    (os.PathLike, "text", "str(...)"),
)
