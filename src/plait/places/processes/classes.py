"""Classes by value, as cloudpickle makes them, mended: what is theirs arrives, and nothing else changes."""

from __future__ import annotations

import functools
from types import MemberDescriptorType
from typing import Any
from weakref import WeakSet

from plait.places.processes import structs

__all__ = ["mended"]

#: Classes that went from here, and those that came.
_at_home, _arrived = WeakSet[type](), WeakSet[type]()


def mended(kind: type, reduced: Any) -> Any:
    """What pickle is to make of a class, given what cloudpickle would: the same, but for one by value."""
    if not isinstance(reduced, tuple) or len(reduced) < 3:  # with a state it is by value
        return reduced
    reduced = structs.without_cache(reduced)
    if getattr(reduced[0], "__name__", "") == "_make_skeleton_class":  # an enum is made in a way of its own
        reduced = _made(kind, reduced)
    return _filled_once(kind, reduced)


def _made(kind: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    make, (metaclass, name, bases, namespace, *tracked), *rest = reduced
    namespace = {**namespace, "__qualname__": kind.__qualname__}  # `Outer.Inner` would be an `Inner`
    reduced = make, (metaclass, name, bases, namespace, *tracked), *rest
    if structs.is_struct(kind):
        return structs.made_anew(kind, reduced)
    if type(kind).__name__ == "_TypedDictMeta":  # of `typing`, or of `typing_extensions`
        return _from_bases(kind, reduced, functools.partial(_typed_dict, type(kind)))
    return _slotted(kind, _from_bases(kind, reduced, metaclass)) if "__slots__" in kind.__dict__ else reduced


def _from_bases(kind: type, reduced: tuple[Any, ...], metaclass: Any) -> tuple[Any, ...]:
    """A class made from the bases that it has: what was written in their place may refuse what it is given.

    So `typing.NamedTuple` refuses slots, and a TypedDict that inherits from another has `dict` for its base.
    """
    make, (_, name, _, namespace, *tracked), *rest = reduced
    if "__orig_bases__" in kind.__dict__:
        namespace = {**namespace, "__orig_bases__": kind.__dict__["__orig_bases__"]}
    return make, (metaclass, name, kind.__bases__, namespace, *tracked), *rest


def _typed_dict(metaclass: Any, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
    return type.__new__(metaclass, name, bases, namespace)


def _slotted(kind: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """A class that keeps its slots: cloudpickle would make one whose objects have a `__dict__`."""
    make, (metaclass, name, bases, namespace, *tracked), (inside, more), *rest = reduced
    namespace = {**namespace, "__slots__": kind.__dict__["__slots__"]}
    inside = {part: value for part, value in inside.items() if not isinstance(value, MemberDescriptorType)}
    inside.pop("__slots__", None)
    return make, (metaclass, name, bases, namespace, *tracked), (inside, more), *rest


def _filled_once(kind: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """A class that stays as it is where it was defined: cloudpickle finds it there, and would fill it again.

    Its methods would then be others, whose globals are copies that nobody sees change.
    """
    if kind not in _arrived:
        _at_home.add(kind)
    make, made_of, state, items, pairs, fill = reduced
    return make, made_of, (fill, *state), items, pairs, _fill


def _fill(kind: type, state: tuple[Any, ...]) -> None:
    if kind not in _at_home:
        _arrived.add(kind)
        fill, *parts = state
        fill(kind, tuple(parts))
