"""`called`: which Python functions a call runs, and what is known of their arguments."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import FunctionType, MethodType
from typing import Any

from plait.fit.bytecode import Deed
from plait.fit.static import in_class, wrapped
from plait.fit.things import UNKNOWN, Made, Thing, known

__all__ = ["called"]

Known = tuple[FunctionType, dict[str, Thing | None]]


def called(deed: Deed, caller: FunctionType) -> Iterator[Known]:
    """The functions that a `"calls"` deed may run."""
    for value in deed.thing.parts or (deed.thing.value,):
        thing = replace(deed.thing, value=value, parts=())
        yield from _behind(thing, deed.arguments, deed.named or {}, 4)


def _behind(
    thing: Thing, arguments: tuple[Thing | None, ...] | None, named: Mapping[str, Thing | None], left: int
) -> Iterator[Known]:
    value = thing.value
    if value is UNKNOWN or not left:
        return
    if isinstance(value, FunctionType):
        yield value, _bind(value, arguments, named)
    elif isinstance(value, MethodType):
        me = Thing(f"the object of {thing.name}" if thing.lasts else "", value.__self__)
        yield from _behind(Thing(thing.name, value.__func__), _before((me,), arguments), named, left - 1)
    elif isinstance(value, functools.partial):
        first = tuple(Thing(f"an argument of {thing.name}", one) for one in value.args)
        more = {name: Thing(f"an argument of {thing.name}", one) for name, one in value.keywords.items()}
        yield from _behind(Thing(thing.name, value.func), _before(first, arguments), {**more, **named}, left - 1)
    elif isinstance(value, type):
        made = in_class(value, "__init__")
        if isinstance(made, FunctionType):
            yield made, _bind(made, _before((known(Made(value)),), arguments), named)
    elif isinstance(inner := wrapped(value), FunctionType):
        yield inner, _bind(inner, arguments, named)
    elif isinstance(call := in_class(type(value), "__call__"), FunctionType):
        yield call, _bind(call, _before((replace(thing, bound=None),), arguments), named)


def _before(first: tuple[Any, ...], rest: tuple[Thing | None, ...] | None) -> tuple[Thing | None, ...]:
    return (*first, *(rest or ()))


def _bind(
    function: FunctionType, arguments: tuple[Thing | None, ...] | None, named: Mapping[str, Thing | None]
) -> dict[str, Thing | None]:
    """Arguments by name, as far as they are known; defaults count where all that is given is known."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    known: dict[str, Thing | None] = {}
    if arguments is not None:
        defaults = function.__defaults__ or ()
        filled = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)) | (function.__kwdefaults__ or {})
        known = {name: Thing(f"its argument {name}", value) for name, value in filled.items()}
        known |= dict(zip(names, arguments, strict=False))
        more = arguments[len(names) :]
        if more and code.co_flags & 0x04:  # *args
            known[code.co_varnames[code.co_argcount + code.co_kwonlyargcount]] = Thing(parts=more)
    known |= named
    return {name: thing for name, thing in known.items() if thing is not None}
