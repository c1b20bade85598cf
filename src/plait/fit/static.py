"""What objects of others are made of, looked up without asking them: no `__getattr__`, property or metaclass is run."""

from __future__ import annotations

from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

__all__ = ["attributes", "in_class", "named", "words", "wrapped"]


def named(kind: type) -> tuple[str, str]:
    """The module and the qualified name of a class, by `type` itself: a metaclass may have ideas of its own."""
    module, name = (type.__dict__[attribute].__get__(kind) for attribute in ("__module__", "__qualname__"))
    return (module if type(module) is str else ""), (name if type(name) is str else "")


def words(*found: Any) -> list[str]:
    """Names as they were found, less what is no plain text."""
    return [word if type(word) is str else "" for word in found]


def in_class(kind: type, name: str) -> Any:
    """What the class, or one above it, has under a name; else `None`."""
    for above in type.__dict__["__mro__"].__get__(kind):
        inside = type.__dict__["__dict__"].__get__(above)
        if name in inside:
            return inside[name]
    return None


def wrapped(thing: Any) -> Any:
    """The function that an object says it wraps (`functools.lru_cache`, a task), found without running anything."""
    found = dict.get(attributes(thing), "__wrapped__")
    if found is None:
        slot = in_class(type(thing), "__wrapped__")
        if type(slot) is MemberDescriptorType:
            try:
                return slot.__get__(thing)
            except AttributeError:  # empty
                return None
    return found


def attributes(thing: Any) -> dict[str, Any]:
    """The attributes of an instance, unless its class made something else of `__dict__`."""
    own = in_class(type(thing), "__dict__")
    if own is None or type(own) is GetSetDescriptorType:
        try:
            found = object.__getattribute__(thing, "__dict__")
        except AttributeError:
            return {}
        return found if type(found) is dict else {}
    return {}
