"""`Thing`: what is known of a value on the stack of a function that is only looked at; and what its parts are.

Nothing of the function is run for it: attributes are taken from dictionaries, slots and classes as they lie there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import FunctionType, MemberDescriptorType, ModuleType
from typing import Any

from plait.fit.copyable import is_container, stays_per_process

__all__ = [
    "ITEM",
    "UNKNOWN",
    "Made",
    "Super",
    "Thing",
    "attribute",
    "class_of",
    "element",
    "is_array",
    "is_program",
    "known",
    "members",
    "unpacked",
    "view",
]

UNKNOWN: Any = object()
#: Elements of a container that stand for all of them.
LOOKED_AT = 8


@dataclass(frozen=True, slots=True)
class Thing:
    """A value of which something is known.

    Parameters:
        name: how to call it in a message, `"the global SEEN"`, if it outlives the call; empty: it does not.
        value: the object, or `UNKNOWN` for what was computed from it.
        bound: what it is a method of, and gets as its first argument.
        parts: values that it is made of, or one of which it is.
        item: it is the item, or something of it.
        inside: the name of the container that it was taken out of.
        mine: it belongs to the program, not to a library.
        method: of something that is not known, the name that it was asked for.
        odd: why a worker would find something else under its name.
    """

    name: str = ""
    value: Any = UNKNOWN
    bound: Thing | None = None
    parts: tuple[Any, ...] = ()
    item: bool = False
    inside: str = ""
    mine: bool = True
    method: str = ""
    odd: str = ""

    @property
    def lasts(self) -> bool:
        """Whether changing it is seen by others."""
        return bool(self.name)


ITEM = Thing("its item", item=True)


@dataclass(frozen=True, slots=True)
class Made:
    """A new object of a class, of whose attributes nothing is known."""

    kind: type


@dataclass(frozen=True, slots=True)
class Super:
    """What `super()` gives in a method of `value` that the class `after` has."""

    value: Any
    after: Any


def known(value: Any) -> Thing:
    """A value that is known, and that nothing can change for others."""
    return Thing("", value)


def attribute(thing: Thing | None, name: str) -> Thing | None:
    """The attribute of a thing, looked up without running any of its code."""
    if thing is None:
        return None
    value = thing.value
    if value is UNKNOWN:
        return replace(thing, bound=None, parts=(), method=name) if thing.lasts else None
    if stays_per_process(value):
        return _function_of(value, name)
    if name == "__class__":
        return class_of(thing)
    called = f"{thing.name}.{name}" if thing.lasts else ""
    for owner, inside in _owners(value):
        if name in inside:
            return _found(thing, owner, inside[name], called)
    return None


def class_of(thing: Thing) -> Thing | None:
    """What `type(thing)` is."""
    if isinstance(thing.value, Made):
        return Thing(f"the class {thing.value.kind.__name__}", thing.value.kind)
    return Thing(f"the class of {thing.name}" if thing.lasts else "", type(thing.value))


def _function_of(value: Any, name: str) -> Thing | None:
    """A function of a module whose state is each process's own."""
    found = vars(value).get(name) if isinstance(value, ModuleType) else None
    if callable(found) and (odd := _replaced(value, found)):
        return Thing(f"{value.__name__}.{name}", found, odd=odd)
    return known(found) if callable(found) else None


def _owners(value: Any) -> Iterator[tuple[Any, Any]]:
    """Where an attribute may lie, and the dictionaries, in the order in which they are looked at."""
    if isinstance(value, ModuleType):
        yield value, vars(value)
        return
    kind, after = _kind(value), None
    if isinstance(value, Super):
        kind, after = _kind(value.value), value.after
    elif not isinstance(value, (type, Made)):
        own = getattr(value, "__dict__", None)
        if type(own) is dict:
            yield value, own
    above = list(kind.__mro__)
    if after in above:
        above = above[above.index(after) + 1 :]
    for one in above:
        yield one, vars(one)


def _kind(value: Any) -> Any:
    return value if isinstance(value, type) else value.kind if isinstance(value, Made) else type(value)


def _found(thing: Thing, owner: Any, found: Any, called: str) -> Thing | None:
    value, mine = thing.value, thing.mine and _is_mine(thing.value)
    instance = value.value if isinstance(value, Super) else value
    plain = isinstance(value, ModuleType) or owner is value
    if plain and not (isinstance(found, (classmethod, staticmethod)) and isinstance(value, type)):
        return Thing(called, found, mine=mine, odd=_replaced(owner, found))
    if isinstance(found, staticmethod):
        return Thing(called, found.__func__, mine=mine)
    if isinstance(found, classmethod):
        of = _kind(instance)
        return Thing(called, found.__func__, bound=Thing(f"the class {of.__name__}", of), mine=mine)
    if isinstance(instance, type) and not isinstance(value, Super):
        return None if _is_computed(found) else Thing(called, found, mine=mine)
    me = replace(thing, value=instance) if isinstance(value, Super) else thing
    if isinstance(instance, Made) and not hasattr(type(found), "__get__"):
        return None  # it may have one of its own by now
    if type(found) is MemberDescriptorType:
        try:
            return Thing(called, found.__get__(instance), mine=mine)
        except AttributeError:  # an empty slot
            return None
    if isinstance(found, property):
        return Thing("", found, bound=me, mine=mine)
    if _is_computed(found):
        if is_array(instance) and called.endswith((".T", ".flat", ".real", ".imag")):
            return replace(thing, bound=None)  # the same memory
        return Thing(called, mine=False) if _is_indexer(instance, called) else None
    return Thing(called, found, bound=me if hasattr(type(found), "__get__") else None, mine=mine)


def _replaced(owner: Any, found: Any) -> str:
    """Why a function or class of another module is not what importing that gives."""
    if type(found).__module__ == "unittest.mock":
        return "which is a mock"
    if isinstance(owner, ModuleType) and owner.__name__ != "__main__" and isinstance(found, FunctionType):
        return "which this program has put there" if found.__module__ == "__main__" else ""
    return ""


def _is_computed(found: Any) -> bool:
    return hasattr(type(found), "__get__") and not callable(found)


def _is_indexer(value: Any, called: str) -> bool:
    """Whether it is what values of a pandas table are set by."""
    return type(value).__module__.startswith("pandas.") and called.endswith((".loc", ".iloc", ".at", ".iat"))


def _is_mine(value: Any) -> bool:
    """Whether a module, or the class of an object, is part of the program rather than of a library."""
    if isinstance(value, (dict, list, tuple)):
        return True
    kind = value.kind if isinstance(value, Made) else type(value)
    module = value if isinstance(value, ModuleType) else sys.modules.get(kind.__module__)
    if module is None:
        return True
    return is_program(module.__name__, getattr(module, "__file__", None) or "")


def is_program(module: str, file: str) -> bool:
    """Whether code of this module and file is the program's own, not the standard library's or an installed one's."""
    top = module.partition(".")[0]
    if top == "__main__":
        return True
    return top not in sys.stdlib_module_names and top != "plait" and not ("-packages" in file and _installed(file))


def _installed(file: str) -> bool:
    return "site-packages" in file or "dist-packages" in file


def members(value: Any) -> list[Any]:
    """Some of the values in a plain container: the first ones stand for all."""
    if isinstance(value, dict):
        return [held for held, _ in zip(dict.values(value), range(LOOKED_AT), strict=False)]
    if isinstance(value, (list, tuple)):
        return list(value[:LOOKED_AT]) if type(value) in (list, tuple) else []
    return []


def element(container: Thing | None, key: Thing | None) -> Thing | None:
    """What `SEEN[key]` is: something of `SEEN`, so that appending to it counts as changing it."""
    if container is None or not container.lasts:
        return _chosen(container.parts) if container is not None and container.parts else None
    value = container.value
    if value is UNKNOWN or is_array(value):
        return Thing(container.name, item=container.item, inside=container.name)
    if not (is_container(value) or isinstance(value, tuple)):
        return None
    held: Any = UNKNOWN
    if key is not None and type(key.value) in (str, int):
        held = _at(value, key.value)
    some = members(value)
    if held is UNKNOWN and some:
        held = some[0]
        return Thing(container.name, held, parts=tuple(some), inside=container.name)
    return Thing(container.name, held, inside=container.name)


def _at(value: Any, key: Any) -> Any:
    try:
        if isinstance(value, dict):
            return dict.get(value, key, UNKNOWN)
        return value[key] if type(value) in (list, tuple) else UNKNOWN
    except Exception:
        return UNKNOWN


def _chosen(parts: tuple[Any, ...]) -> Thing | None:
    """One of several, of which each may be meant: one that others see, if there is any."""
    things = [part for part in parts if isinstance(part, Thing)]
    return next((thing for thing in things if thing.lasts), None)


def unpacked(thing: Thing | None, count: int) -> list[Thing | None]:
    """The `count` members of a sequence, first to last."""
    if thing is None:
        return [None] * count
    if len(thing.parts) == count and all(part is None or isinstance(part, Thing) for part in thing.parts):
        return list(thing.parts)
    if thing.lasts and type(thing.value) in (tuple, list) and len(thing.value) == count:
        return [Thing(thing.name, held, inside=thing.name) for held in thing.value]
    return [None] * count


def view(container: Thing | None) -> Thing | None:
    """What a slice of it is: of an array a view, of anything else a copy."""
    if container is not None and container.lasts and is_array(container.value):
        return Thing(container.name, container.value, inside=container.name)
    return None


def is_array(value: Any) -> bool:
    """Whether slices of it share its memory."""
    return type(value) is memoryview or any(
        (kind.__module__, kind.__name__) == ("numpy", "ndarray") for kind in type(value).__mro__
    )
