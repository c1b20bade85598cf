"""`stays_here`: why running a function in another process would change what it means, as far as its code can tell.

A function that counts in a global, appends to a list that its caller reads, or holds a lock or an open file does
nothing of the kind in a worker's copy. What reads, caches with `functools.lru_cache`, or logs is left alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from plait.fit.bytecode import UNKNOWN, Deed, deeds
from plait.fit.copyable import SHAREABLE, attribute_that_stays, what_stays

__all__ = ["Pin", "pin", "runs_alone", "stays_here"]


@dataclass(frozen=True, slots=True)
class Pin:
    """Why a function stays in this process; with `alone`, its items must not overlap in threads either."""

    reason: str
    alone: bool


def stays_here(fn: Callable[..., Any]) -> str | None:
    """Why `fn` must stay in this process, or `None`.

    **Cost**: well under a millisecond for most functions. **Guarantee**: never raises, imports nothing and runs nothing
    of the function. **Caution**: it sees the function itself, the functions inside it, and one level of what it calls
    in its own module; what happens further down is not seen: pin such a function with `model=`.
    """
    found = pin(fn)
    return found.reason if found else None


def runs_alone(fn: Callable[..., Any]) -> str | None:
    """Why the items of `fn` must not overlap, not even in threads of this process, or `None`."""
    found = pin(fn, alone=True)
    return found.reason if found else None


def pin(fn: Callable[..., Any], *, alone: bool = False) -> Pin | None:
    """The first reason that pins `fn` to this process; with `alone`, the first that keeps its items apart as well."""
    try:
        return next((found for found in _pins(fn) if found.alone or not alone), None)
    except Exception:  # odd objects of others: no knowledge, no reason
        return None


@dataclass(frozen=True, slots=True)
class _Behind:
    """What is behind a callable: its Python function, the arguments that it gets before the item, what travels."""

    function: FunctionType | None
    bound: list[Any]
    named: dict[str, Any]
    held: list[tuple[str, Any]]


def _pins(fn: Any) -> Iterator[Pin]:
    behind = _look_through(fn)
    for name, value in behind.held:
        yield from _held(name, value)
    function = behind.function
    if function is None:
        return
    called: list[tuple[FunctionType, dict[str, Any]]] = []
    yield from _of(function, _arguments(function, behind.bound, behind.named), called)
    decorated = getattr(function, "__wrapped__", None)
    if isinstance(decorated, FunctionType):
        called.append((decorated, _arguments(decorated, [], {})))
    for other, arguments in called:
        if other.__code__ is not function.__code__:
            yield from _of(other, arguments, [])  # one level only: what these call in turn is not followed


def _look_through(fn: Any) -> _Behind:
    """The Python function behind partials, bound methods, caches and callable objects."""
    bound: list[Any] = []
    named: dict[str, Any] = {}
    held: list[tuple[str, Any]] = []
    for _ in range(8):  # partials of bound methods of ... end somewhere
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
            return _Behind(fn, bound, named, held)
        elif isinstance(fn, (BuiltinFunctionType, type)):
            break
        elif isinstance(getattr(fn, "__wrapped__", None), (FunctionType, MethodType)):
            fn = fn.__wrapped__  # functools.lru_cache, a task
        elif isinstance(call := getattr(type(fn), "__call__", None), FunctionType):  # noqa: B004 - it is looked at
            bound = [fn, *bound]
            held.append(("the object", fn))
            fn = call
        else:
            break
    return _Behind(None, bound, named, held)


def _arguments(function: FunctionType, bound: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    """Arguments whose values are known: what is bound, and defaults that nobody fills (the item fills one)."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    known = {**dict(zip(names, bound, strict=False)), **named}
    item = next((name for name in names if name not in known), None)
    defaults = function.__defaults__ or ()
    filled = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)) | (function.__kwdefaults__ or {})
    return {name: value for name, value in filled.items() if name != item} | known


def _of(
    function: FunctionType, arguments: dict[str, Any], called: list[tuple[FunctionType, dict[str, Any]]]
) -> Iterator[Pin]:
    """The reasons in one function's own code and in what it closes over."""
    free = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            free[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            free[name] = UNKNOWN
    for name, value in arguments.items():
        stays = what_stays(value)
        if stays:
            yield Pin(f"its argument {name} is {stays}, which cannot be copied", stays not in SHAREABLE)
    for name, value in free.items():
        yield from _held(f"the closed-over {name}", value)
    for deed in deeds(function.__code__, function.__globals__, free, arguments):
        yield from _said(deed, function)
        if deed.kind == "uses":
            called += _callee(deed.origin.value, function, [*free.values()], arguments)


def _said(deed: Deed, function: FunctionType) -> Iterator[Pin]:
    name, value = deed.origin.name, deed.origin.value
    if deed.kind == "writes":
        yield Pin(f"{function.__qualname__} writes {name}", True)
    elif deed.kind == "changes":
        yield Pin(f"{function.__qualname__} changes {name}", not deed.at_once)
    elif name.startswith("the global ") and "." not in name:
        stays = what_stays(value)
        if stays:
            yield Pin(f"{function.__qualname__} uses {stays}, {name}", stays not in SHAREABLE)


def _held(name: str, value: Any) -> Iterator[Pin]:
    """What travels with a function and cannot be copied: itself, or an attribute of it."""
    stays = what_stays(value)
    if stays:
        yield Pin(f"{name} is {stays}, which cannot be copied", stays not in SHAREABLE)
    elif not isinstance(value, (ModuleType, FunctionType, MethodType, functools.partial)):
        inside = attribute_that_stays(value)
        if inside:
            yield Pin(f"{name} holds {inside[1]} ({inside[0]}), which cannot be copied", inside[1] not in SHAREABLE)


def _callee(
    value: Any, function: FunctionType, closed_over: list[Any], arguments: dict[str, Any]
) -> list[tuple[FunctionType, dict[str, Any]]]:
    """What it calls and what is looked into: functions of its module or its closure, methods of its own self."""
    if not isinstance(value, FunctionType):
        return []
    if value.__globals__ is not function.__globals__ and not any(value is other for other in closed_over):
        return []
    owner = next(iter(arguments.values()), None)
    is_method = owner is not None and getattr(type(owner), value.__name__, None) is value
    return [(value, _arguments(value, [owner] if is_method else [], {}))]
