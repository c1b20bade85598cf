"""`look_through`: the Python function behind partials, bound methods, caches and callable objects."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from plait.fit.static import wrapped
from plait.fit.things import ITEM, Thing

__all__ = ["Behind", "arguments", "look_through"]


@dataclass(frozen=True, slots=True)
class Behind:
    """What is behind a callable: its Python function, the arguments that it gets before the item, what travels."""

    function: FunctionType | None
    bound: list[Any]
    named: dict[str, Any]
    held: list[tuple[str, Any]]
    returns_item: bool = False


def look_through(fn: Any) -> Behind:
    """The Python function behind partials, bound methods, caches and callable objects."""
    bound: list[Any] = []
    named: dict[str, Any] = {}
    held: list[tuple[str, Any]] = []
    returns_item = False
    for _ in range(8):  # partials of bound methods of ... end somewhere
        returns_item = returns_item or bool(getattr(type(fn), "__plait_returns_item__", False))
        if isinstance(fn, functools.partial):
            bound, named = [*fn.args, *bound], {**fn.keywords, **named}
            held += [(f"argument {index + 1} of the partial", value) for index, value in enumerate(fn.args)]
            held += [(f"the partial's argument {name}", value) for name, value in fn.keywords.items()]
            fn = fn.func
        elif isinstance(fn, MethodType):
            bound = [fn.__self__, *bound]
            held.append(("the object that it is a method of", fn.__self__))
            fn = fn.__func__
        elif isinstance(fn, FunctionType):
            return Behind(fn, bound, named, held, returns_item)
        elif isinstance(fn, (BuiltinFunctionType, type)):
            held.append(("the function", fn))
            break
        elif isinstance(inner := wrapped(fn), (FunctionType, MethodType, functools.partial)) or callable(inner):
            fn = inner  # functools.lru_cache, a task
        elif isinstance(call := getattr(type(fn), "__call__", None), FunctionType):  # noqa: B004 - it is looked at
            bound = [fn, *bound]
            held.append(("the object", fn))
            fn = call
        else:
            break
    return Behind(None, bound, named, held)


def arguments(function: FunctionType, behind: Behind) -> dict[str, Thing | None]:
    """Arguments of which something is known: what is bound, the item, and defaults that nobody fills."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    values = {**dict(zip(names, behind.bound, strict=False)), **behind.named}
    item = next((name for name in names if name not in values), None)
    defaults = function.__defaults__ or ()
    filled = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)) | (function.__kwdefaults__ or {})
    values = {name: value for name, value in filled.items() if name != item} | values
    known: dict[str, Thing | None] = {
        name: Thing(name if name == "self" else f"its argument {name}", value) for name, value in values.items()
    }
    if item is not None:
        known[item] = ITEM
    elif code.co_flags & 0x04:  # *args
        known[code.co_varnames[code.co_argcount + code.co_kwonlyargcount]] = Thing(parts=(ITEM,))
    return known
