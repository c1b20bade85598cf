"""`stays_here`: why running a function in another process would change what it means, as far as its code can tell.

A function that counts in a global, appends to a list that its caller reads, or holds a lock or an open file does
nothing of the kind in a worker's copy; nor do the functions that it calls. What reads, caches or logs is left alone.

    pin(fn) --> what is behind it: partials, methods, caches  --> what it holds: locks, files, random generators ...
                      +-> `Walk`: what its code does --calls--> the program's own functions, `DEPTH` calls deep
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from plait.fit.behind import Behind, arguments, look_through
from plait.fit.bytecode import Deed, Walk
from plait.fit.copyable import SHAREABLE, attribute_that_stays, is_thread_bound, what_stays
from plait.fit.follow import called
from plait.fit.mutators import is_mutator, of_main_thread
from plait.fit.things import UNKNOWN, Thing, is_program

__all__ = ["Pin", "Pins", "pin", "pins", "runs_alone", "stays_here"]

#: Calls that are followed one inside the other, functions in all, and bytes of their code.
DEPTH, FUNCTIONS, BYTES = 6, 32, 8_192
#: Flags of code that gives more than it returns: generators.
_GENERATES = 0x20 | 0x200


@dataclass(frozen=True, slots=True)
class Pin:
    """Why a function stays in this process.

    Parameters:
        alone: its items must not overlap in threads either.
        thread: they must run in their caller's own thread.
    """

    reason: str
    alone: bool
    thread: bool = False


def stays_here(fn: Callable[..., Any]) -> str | None:
    """Why `fn` must stay in this process, or `None`.

    **Cost**: about a millisecond for most functions, the first time. **Guarantee**: never raises, imports nothing and
    runs nothing of the function. **Caution**: it sees the function itself, the functions inside it, and those of the
    program that it calls, as far as it can tell which these are: pin what it does not see with `model=`.
    """
    found = pin(fn)
    return found.reason if found else None


def runs_alone(fn: Callable[..., Any]) -> str | None:
    """Why the items of `fn` must not overlap, not even in threads of this process, or `None`."""
    found = pin(fn, alone=True)
    return found.reason if found else None


class Pins(NamedTuple):
    """The first reasons of each kind that pin a function; `None`: there is none.

    Parameters:
        here: to this process. alone: so that its items must not overlap, either. thread: to its caller's thread.
    """

    here: Pin | None = None
    alone: Pin | None = None
    thread: Pin | None = None


def pins(fn: Callable[..., Any]) -> Pins:
    """All that pins `fn`, looked for once. **Guarantee**: as `stays_here`."""
    here = alone = None
    try:
        for found in _pins(fn):
            here = here or found
            alone = alone or (found if found.alone else None)
            if found.thread:
                return Pins(here, alone, found)
    except Exception:  # odd objects of others: no knowledge, no reason
        pass
    return Pins(here, alone)


def pin(fn: Callable[..., Any], *, alone: bool = False, thread: bool = False) -> Pin | None:
    """The first reason that pins `fn` to this process.

    Parameters:
        alone: the first that keeps its items apart as well. thread: the first that pins them to their caller's thread.
    """
    found = pins(fn)
    return found.thread if thread else found.alone if alone else found.here


def _pins(fn: Any) -> Iterator[Pin]:
    behind = look_through(fn)
    for name, value in behind.held:
        yield from _held(name, value)
    function = behind.function
    if function is not None:
        mine = _is_mine(function) or _is_mine(inspect.unwrap(function))
        yield from _Look(mine).root(function, behind)


@dataclass
class _Look:
    """One look at a function and at those that it calls."""

    mine: bool
    seen: set[Any] = field(default_factory=set)
    bytes: int = 0
    reads: dict[tuple[int, str], Pin] = field(default_factory=dict)
    sets: set[tuple[int, str]] = field(default_factory=set)
    changes_item: bool = False

    def root(self, function: FunctionType, behind: Behind) -> Iterator[Pin]:
        """Everything that pins it."""
        given = arguments(function, behind)
        for name, thing in given.items():
            stays = what_stays(thing.value) if thing is not None and thing.lasts else None
            if stays and thing is not None:
                yield _pinned(f"its argument {name} is {stays}, {_why(stays)}", stays, thing.value)
        walk = yield from self._walk(function, given, 0)
        for_nothing = walk is not None and not (walk.gives or function.__code__.co_flags & _GENERATES)
        if self.changes_item and for_nothing and not behind.returns_item:
            yield Pin(f"{function.__qualname__} changes its items, and gives back nothing of them", False)
        for key, found in self.reads.items():
            if key not in self.sets:
                yield found

    def _walk(self, function: FunctionType, given: dict[str, Thing | None], depth: int) -> Any:
        """The reasons in one function's own code, in what it closes over, and in what it calls; gives its `Walk`."""
        code = function.__code__
        key = (id(code), id(function.__closure__), *((name, _who(thing)) for name, thing in given.items()))
        self.bytes += len(code.co_code)
        if key in self.seen or len(self.seen) >= FUNCTIONS or (depth and self.bytes > BYTES):
            return None
        self.seen.add(key)
        free = _closed_over(function)
        for name, thing in free.items():
            yield from _held(f"the closed-over {name}", thing.value)
        walk = Walk(code, function.__globals__, free, given)
        later = []
        bookkeeping = self.mine and not _is_mine(function)  # of a decorator that a library brought
        for deed in walk.run():
            if deed.kind == "calls":
                yield from _of_the_call(deed, function)
                later.append(deed)
            elif deed.kind in ("writes", "changes") and bookkeeping:
                continue
            elif depth and deed.kind in ("writes", "changes"):
                later.append(deed)  # whether it only caches is known at the end
            else:
                yield from self._said(deed, function)
        for deed in later:
            if deed.kind == "calls":
                for other, known in called(deed, function):
                    if self._is_followed(other, function, depth):
                        yield from self._walk(other, known, depth + 1)
            elif not _caches(deed, walk):
                yield from self._said(deed, function)
        decorated = getattr(function, "__wrapped__", None)
        if isinstance(decorated, FunctionType) and self._is_followed(decorated, function, depth):
            yield from self._walk(decorated, {}, depth + 1)
        return walk

    def _is_followed(self, other: FunctionType, caller: FunctionType, depth: int) -> bool:
        """The program's own functions are; of a library's function, those of its own module, one call deep."""
        if self.mine:
            return depth < DEPTH and _is_mine(other)
        if depth >= 1:
            return False
        cells = (cell for cell in caller.__closure__ or ())
        return other.__globals__ is caller.__globals__ or any(_within(cell) is other for cell in cells)

    def _said(self, deed: Deed, function: FunctionType) -> Iterator[Pin]:
        thing, name = deed.thing, deed.thing.name
        if deed.kind == "reads" or deed.kind == "sets":
            key, word = (id(thing.value), deed.at), f"{function.__qualname__} reads {name}.{deed.at}"
            if deed.kind == "sets":
                self.sets.add(key)
            else:
                self.reads.setdefault(key, Pin(f"{word}, which each thread has its own of", True, True))
        elif thing.item and deed.kind != "uses":
            self.changes_item = True
        elif deed.kind == "writes":
            yield Pin(f"{function.__qualname__} writes {name}", True)
        elif deed.kind == "changes":
            yield Pin(f"{function.__qualname__} changes {name}", not deed.at_once)
        elif thing.odd:
            yield Pin(f"{function.__qualname__} uses {name}, {thing.odd}", False)
        elif thing.mine and not thing.item:
            stays = what_stays(thing.value)
            if stays:
                yield _pinned(f"{function.__qualname__} uses {stays}, {name}", stays, thing.value)


def _within(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _is_mine(function: FunctionType) -> bool:
    module = str(function.__globals__.get("__name__", ""))
    return is_program(module, function.__code__.co_filename)


def _who(thing: Thing | None) -> Any:
    return None if thing is None else (id(thing.value) if thing.value is not UNKNOWN else thing.name, thing.item)


def _closed_over(function: FunctionType) -> dict[str, Thing]:
    free = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            free[name] = Thing(f"the closed-over {name}", cell.cell_contents)
        except ValueError:  # not assigned yet
            free[name] = Thing(f"the closed-over {name}")
    return free


def _caches(deed: Deed, walk: Walk) -> bool:
    """Whether a function that is called only keeps there what it makes once, for itself.

    A dict is filled with what the function gives back; a variable or an attribute is assigned after it was found to be
    `None`. Neither is computed with: a sum, or the largest so far, is a result.
    """
    if not deed.plain or deed.at in walk.used or deed.thing.name in walk.used:
        return False
    if deed.at == deed.thing.name and deed.kind == "changes":  # an element
        return deed.thing.name in walk.returned and isinstance(deed.thing.value, dict)
    return deed.at in walk.asked


def _of_the_call(deed: Deed, function: FunctionType) -> Iterator[Pin]:
    """What calling a function of a library means for where it may run."""
    value = deed.thing.value
    if of_main_thread(value):
        yield Pin(f"{function.__qualname__} calls signal.{value.__name__}, which the main thread has to", True, True)
    elif value is print and not (deed.named or {}).get("file") and _is_in_memory(sys.stdout):
        yield Pin(f"{function.__qualname__} prints, and its caller gathers what is printed", False)


def _is_in_memory(stream: Any) -> bool:
    return (type(stream).__module__, type(stream).__name__) == ("_io", "StringIO")


def _why(stays: str) -> str:
    return "copies of which draw the same numbers" if "random" in stays else "which cannot be copied"


def _pinned(reason: str, stays: str, value: Any) -> Pin:
    thread = is_thread_bound(value)
    return Pin(reason, thread or stays not in SHAREABLE, thread)


def _held(name: str, value: Any) -> Iterator[Pin]:
    """What travels with a function and cannot be copied: itself, or an attribute of it."""
    stays = what_stays(value)
    if stays:
        yield _pinned(f"{name} is {stays}, {_why(stays)}", stays, value)
    elif type(value) is BuiltinFunctionType and is_mutator(value.__self__, value.__name__):
        yield Pin(f"{name} changes {_article(value.__self__)} of its caller's", False)
    elif isinstance(value, MethodType):
        yield from _held(name, value.__self__) if not isinstance(value.__self__, ModuleType) else ()
    elif not isinstance(value, (ModuleType, FunctionType, functools.partial)):
        inside = attribute_that_stays(value)
        if inside:
            held = value.__dict__[inside[0]]
            yield _pinned(f"{name} holds {inside[1]} ({inside[0]}), {_why(inside[1])}", inside[1], held)


def _article(value: Any) -> str:
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
