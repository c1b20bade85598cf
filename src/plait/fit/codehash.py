"""`code_key`: a function's code as a short name, under which evidence of it is found again in a later run.

    partial -> bound method -> Task, lru_cache -> function -> bytecode, constants, names, defaults
                                                    +-> functions that it closes over or calls in its own module

Only what is written in the code counts: a function that was renamed, moved or reformatted keeps its key. Data that may
change while it runs (lists, dicts, globals, attributes) is left out, so that a key is the same before and after a run.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Iterable
from opcode import opmap
from types import (
    BuiltinFunctionType,
    CellType,
    ClassMethodDescriptorType,
    CodeType,
    EllipsisType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from plait.fit.static import attributes, in_class, named, words, wrapped
from plait.machine import cores

__all__ = ["code_key"]

#: Changes when what is mixed into a key, or what is stored under it, changes its meaning.
FORMAT = "plait 1"
#: Flags of code that say how it is called: `*args`, `**kwargs`, generators, coroutines. Not: nested, has a docstring.
FLAGS = 0x04 | 0x08 | 0x20 | 0x80 | 0x100 | 0x200
HAS_DOCSTRING = 0x4000000  # Python 3.14; before, the first constant of a function is its docstring or None
#: A tuple of a million numbers may be a default: what is looked at is bounded, its length always counts.
VALUES, LONGEST, WIDEST = 20_000, 65_536, 4_096
#: Functions that are followed from one, and how far.
FUNCTIONS, DEPTH = 32, 6
#: Seconds for which a count of CPUs is believed: reading it anew takes longer than all else here.
BELIEVED = 10.0

_counted = (float("-inf"), 1)


def code_key(function: Any) -> str | None:
    """32 hexadecimal digits for what `function` does on a machine like this one, as far as its code tells.

    The same for the same code under another name, in another file, reformatted, or with another docstring. Another one
    for another constant, another plain default, closed-over value or argument of a `functools.partial`, another Python
    (major.minor), or another number of CPUs. Built-in functions go by their name, classes by name and `__init__`.

    Returns:
        The key; `None` where nothing can be said of it: a callable that is neither Python nor a named built-in.

    **Cost**: 10 to 60 us, and the time of `machine.cores` once in ten seconds. **Guarantee**: never raises, runs
    nothing of the function or of its arguments (no `__eq__`, `__hash__`, `__repr__`, `__getattr__` of others).
    **Caution**: what methods of `self`, other modules and the data do is not seen: two functions may share a key, and
    what is found under it is a hint.
    """
    try:
        walk = _Walk()
        walk.say(FORMAT, *_setting())
        return _digest(walk.text()) if walk.callable(function) else None
    except Exception:  # odd objects of others: nothing is known
        return None


def _digest(text: bytes) -> str:
    try:
        from _blake2 import blake2b
    except ImportError:  # not CPython
        from hashlib import blake2b  # loads OpenSSL: 2 ms
    return blake2b(text, digest_size=16).hexdigest()


def _setting() -> tuple[str, ...]:
    """What else the evidence depends on: this Python, and this machine's CPUs."""
    global _counted
    now = time.monotonic()
    if now - _counted[0] > BELIEVED:
        _counted = now, cores()
    major, minor = sys.version_info[:2]
    return sys.implementation.name, f"{major}.{minor}{sys.abiflags}", str(_counted[1])


class _Walk:
    """Writes down what a callable is, part by part; each part says how long it is, so that no two read alike."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._seen: dict[int, int] = {}
        self._depth = 0
        self._left = VALUES

    def text(self) -> bytes:
        return b"".join(self._parts)

    def say(self, *parts: str | bytes) -> None:
        for word in parts:
            data = word if isinstance(word, bytes) else word.encode("utf-8", "surrogatepass")
            self._parts.append(b"%d:" % len(data))
            self._parts.append(data)

    def callable(self, fn: Any) -> bool:
        """Write a callable down; whether anything could be said."""
        self._left -= 1
        if self._depth >= DEPTH or len(self._seen) >= FUNCTIONS or self._left < 0:
            self.say("further")
            return True
        self._depth += 1
        try:
            return self._callable(fn)
        finally:
            self._depth -= 1

    def _callable(self, fn: Any) -> bool:
        kind = type(fn)
        if kind is FunctionType:
            self._function(fn)
            return True
        if kind is functools.partial:
            self._partial(fn)
            return self.callable(fn.func)
        if kind is MethodType:
            self._owner(fn.__self__)
            return self.callable(fn.__func__)
        if issubclass(kind, type):
            self.say("class", *named(fn))
            if type(made_by := in_class(fn, "__init__")) is FunctionType:
                self.callable(made_by)
            return True
        if kind in (BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType):
            self._builtin(fn)
            return True
        behind = wrapped(fn)
        if behind is None:
            behind = in_class(kind, "__call__")
            if type(behind) is not FunctionType:
                return False
        self._owner(fn)
        return self.callable(behind)

    def _function(self, fn: FunctionType) -> None:
        if id(fn) in self._seen:
            self.say("again", str(self._seen[id(fn)]))
            return
        self._seen[id(fn)] = len(self._seen)
        self.say("function")
        home = fn.__globals__
        self._code(fn.__code__, home)
        self._values("defaults", fn.__defaults__ or ())
        self._named_values("named defaults", fn.__kwdefaults__ or {})
        counts = fn.__closure__ and _assigns(fn.__code__)
        for cell in fn.__closure__ or ():
            self._closed_over(cell, not counts)
        behind = dict.get(fn.__dict__, "__wrapped__")
        if behind is not None:
            self.say("wraps")
            self.callable(behind)

    def _code(self, code: CodeType, home: dict[str, Any]) -> None:
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & FLAGS)
        self.say("code", repr(counts), code.co_code, code.co_exceptiontable, *code.co_names)
        for value in _constants(code):
            if type(value) is CodeType:
                self._code(value, home)
            else:
                self.value(value)
        for name in code.co_names:
            self._global(dict.get(home, name), home)

    def _global(self, value: Any, home: dict[str, Any]) -> None:
        """What a name of the code stands for: functions, classes and modules; data may change as the function runs."""
        kind = type(value)
        if value is None or kind in _PLAIN:
            return
        if kind is ModuleType:
            self.say("module", *words(dict.get(value.__dict__, "__name__")))
        elif issubclass(kind, type):
            module, name = named(value)
            self.say("class", "" if module == dict.get(home, "__name__") else module, name)
        elif kind is FunctionType and value.__globals__ is not home:
            self.say("function of", *words(value.__module__, value.__qualname__))
        elif kind in (FunctionType, BuiltinFunctionType) or type(wrapped(value)) is FunctionType:
            self.callable(value)

    def _closed_over(self, cell: CellType, steady: bool) -> None:
        try:
            value = cell.cell_contents
        except ValueError:  # not assigned yet
            return
        if steady or type(value) not in _PLAIN:
            self.value(value)

    def _partial(self, fn: functools.partial[Any]) -> None:
        self._values("partial", fn.args)
        self._named_values("partial", fn.keywords)

    def _owner(self, owner: Any) -> None:
        """The object that a method is of: its class, and the functions that it holds."""
        kind = type(owner)
        self.say("of", named(owner if issubclass(kind, type) else kind)[1])
        held = {} if issubclass(kind, type) else attributes(owner)
        for name, value in list(held.items()):
            if type(value) is FunctionType and name != "__wrapped__":
                self.say(*words(name))
                self.callable(value)

    def _builtin(self, fn: Any) -> None:
        owner = fn.__self__ if type(fn) is BuiltinFunctionType else fn.__objclass__
        self.say("built-in", *words(fn.__name__))
        if owner is None or type(owner) is ModuleType:
            self.say(*words(fn.__module__))
        else:
            self.value(owner)

    def _values(self, what: str, values: Iterable[Any]) -> None:
        self.say(what)
        for value in values:
            self.value(value)

    def _named_values(self, what: str, values: dict[str, Any]) -> None:
        self.say(what)
        for name in sorted(name for name in values if type(name) is str):
            self.say(name)
            self.value(dict.get(values, name))

    def value(self, value: Any) -> None:
        """Write a value down: plain and immutable data as it is, functions by their code, all else by its class."""
        kind = type(value)
        if kind in _PLAIN:
            self.say(self._plain(value))
        elif kind in (FunctionType, MethodType, BuiltinFunctionType, functools.partial):
            self.callable(value)
        elif issubclass(kind, type):
            self.say("class", *named(value))
        elif type(behind := wrapped(value)) is FunctionType:
            self.callable(behind)
        else:
            self.say("a", *named(kind))

    def _plain(self, value: Any, depth: int = 0) -> bytes:
        kind = type(value)
        self._left -= 1
        if kind not in _PLAIN or depth > 16 or self._left < 0:
            return b"a " + named(kind)[1].encode("utf-8", "surrogatepass")
        if kind is str:
            value = value.encode("utf-8", "surrogatepass")
        elif kind is int:
            value = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        elif kind in (tuple, frozenset):
            # A large set has no first elements: their order is another one in every process.
            some = value if kind is tuple or len(value) <= WIDEST else ()
            inside = [self._plain(one, depth + 1) for _, one in zip(range(WIDEST), some, strict=False)]
            inside = inside if kind is tuple else sorted(inside)
            return b"%s %d(%s)" % (kind.__name__.encode(), len(value), b"".join(b"%d:%s" % (len(x), x) for x in inside))
        elif kind is slice:
            return b"slice" + self._plain((value.start, value.stop, value.step), depth + 1)
        elif kind is not bytes:
            value = repr(value).encode()  # of None, a bool, a float: the interpreter's own
        return b"%s %d %s" % (kind.__name__.encode(), len(value), value[:LONGEST])


_PLAIN = frozenset({type(None), EllipsisType, bool, int, float, complex, str, bytes, tuple, frozenset, slice, range})


def _assigns(code: CodeType) -> bool:
    """Whether it may count in a variable that it closes over, which then is no part of what it is."""
    inside = any(_assigns(value) for value in code.co_consts if type(value) is CodeType)
    return inside or opmap["STORE_DEREF"] in code.co_code[::2]


def _constants(code: CodeType) -> tuple[Any, ...]:
    """Its constants, without the docstring."""
    constants = code.co_consts
    if constants and type(constants[0]) is str:
        is_function = code.co_flags & 0x01 and not code.co_name.startswith("<")
        if code.co_flags & HAS_DOCSTRING if sys.version_info >= (3, 14) else is_function:
            return (None, *constants[1:])
    return constants
