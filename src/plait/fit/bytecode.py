"""What a function's bytecode does to things that outlive its call: a walk with a stack of what each value is.

    LOAD_GLOBAL SEEN      [SEEN]                     each entry: the object, where it is known, and its name
    LOAD_METHOD add       [SEEN.add]                 -> SEEN is a set: "adds to the global SEEN"
    LOAD_FAST x ...

The walk goes once through the instructions, and carries the stack along jumps. What is computed is unknown, and
nothing is said of it: a function that hides what it does is taken for harmless.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import BuiltinFunctionType, CodeType
from typing import Any

from plait.fit.copyable import is_container, is_thread_local, stays_per_process
from plait.fit.mutators import ADVANCES, METHODS, changed_argument, fills_itself, is_mutator, named
from plait.fit.stack import GIVEN, Stack, Stacked
from plait.fit.steps import Step, steps
from plait.fit.things import (
    UNKNOWN,
    Made,
    Thing,
    attribute,
    class_of,
    element,
    is_array,
    is_program,
    known,
)

__all__ = ["Deed", "Walk"]

#: Methods that give elements of what they are called on.
_ELEMENTS = frozenset({"get", "__getitem__", "setdefault", "pop", "popleft", "popitem"})
_VIEWS = frozenset({"values", "__iter__"})
#: Methods and functions that give an array which shares the memory of theirs.
_SHARING = frozenset({"diagonal", "ravel", "reshape", "squeeze", "swapaxes", "transpose", "view"})
_SHARED = frozenset({("numpy", name) for name in ("asarray", "asanyarray", "ravel", "reshape", "squeeze", "transpose")})
_ENTERS = frozenset({("contextlib", "nullcontext"), ("contextlib", "closing")})


#: The commonest instructions that neither do nor tell anything.
_DOES_NOTHING = frozenset({
    "RESUME", "LOAD_FAST", "STORE_FAST", "LOAD_CONST", "POP_TOP", "PUSH_NULL", "KW_NAMES", "SWAP", "COPY", "NOP",
    "JUMP_FORWARD", "JUMP_BACKWARD", "BUILD_TUPLE", "BUILD_LIST", "BUILD_MAP", "BUILD_STRING", "FORMAT_VALUE",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Deed:
    """What a function does: `kind` is `"writes"`, `"changes"`, `"uses"`, `"calls"`, `"reads"` or `"sets"`.

    Parameters:
        at: the name of what is written, of an attribute, with its owner's: `"self.count"`.
        at_once: no other thread sees it half done, as with `append`; not so with `count += 1`.
        arguments, named: of a call, as far as they are known; `None`: it is not known how many there are.
        plain: it assigns something new, whatever was there.
    """

    kind: str
    thing: Thing
    at: str = ""
    at_once: bool = False
    arguments: tuple[Thing | None, ...] | None = ()
    named: Mapping[str, Thing | None] | None = None
    plain: bool = False


class Walk(Stacked):
    """One function.

    Parameters:
        names: its globals. free: its closed-over variables. local: arguments whose value is known (self, defaults).

    Attributes:
        gives: whether it ever gives back anything but a constant.
        returned: names of what it gives back, or of the containers that this was in.
        asked: names that it compares with `None`, or takes for true or false; used: that it computes with.
    """

    def __init__(
        self, code: CodeType, names: Mapping[str, Any], free: Mapping[str, Thing], local: Mapping[str, Thing | None]
    ) -> None:
        super().__init__(code, names, free, local)
        self.returned: set[str] = set()
        self.asked: set[str] = set()
        self.used: set[str] = set()

    def run(self) -> Iterator[Deed]:
        """What it does, in the order of its instructions."""
        stacks: dict[int, Stack] = {}
        for step in steps(self.code):
            if step.offset in stacks:
                self.stack = list(stacks[step.offset])
            if step.op not in _DOES_NOTHING:
                yield from self._deeds(step)
                self._note(step)
            if step.jumps:
                stacks.setdefault(step.value, self._after(step, step.jumped))
            self._advance(step)
            self.before = step
        inner = {**self.free, **{name: thing for name, thing in self.local.items() if thing is not None}}
        for constant in self.code.co_consts:
            if isinstance(constant, CodeType):
                handed_on = {name: inner[name] for name in constant.co_freevars if name in inner}
                yield from Walk(constant, self.names, handed_on, {}).run()

    # --- what it does -----------------------------------------------------------------------------------------------

    def _deeds(self, step: Step) -> Iterator[Deed]:
        """What this instruction does to something that outlives the call, before it has done it."""
        name, op = step.value, step.op
        if op in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            yield Deed("writes", Thing(f"the global {name}"), f"the global {name}", plain=self._assigns())
        elif op in ("STORE_DEREF", "DELETE_DEREF"):
            # A variable of the enclosing function itself is handed on by value only, and outlives nothing.
            if name in self.free and self.free[name].name == f"the closed-over {name}":
                yield Deed("writes", self.free[name], self.free[name].name, plain=self._assigns())
        elif op in ("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE"):
            of = self._top(3 if op == "STORE_SLICE" else 2)
            swapped = self.before is not None and self.before.op == "SWAP"  # the end of `x[key] += 1`
            yield from self._changed(of, at_once=not swapped, plain=op == "STORE_SUBSCR" and not swapped)
        elif op in ("STORE_ATTR", "DELETE_ATTR"):
            yield from self._stored(self._top(), name)
        elif op == "BINARY_OP" and step.arg >= 13 and _has_own_operators(self._top(2)):  # x += y, of a list
            yield from self._changed(self._top(2))
        elif op in ("CALL", "PRECALL", "CALL_KW", "CALL_FUNCTION_EX"):
            yield from self._called(step)
        elif op in ("BINARY_SUBSCR", "GET_ITER"):
            of = self._top(2 if op == "BINARY_SUBSCR" else 1)
            if of is not None and (fills_itself(of.value) if op == "BINARY_SUBSCR" else _is_iterator(of)):
                yield from self._changed(of)
        elif op in ("LOAD_METHOD", "LOAD_ATTR", "LOAD_SUPER_ATTR"):
            yield from self._asked_for(self._owner(step), name)
        if not op.startswith("LOAD_FAST"):
            loaded = self._loaded(step)
            if loaded is not None and (loaded.lasts or loaded.bound is not None):
                yield from self._used(loaded)

    def _assigns(self, depth: int = 1) -> bool:
        """Whether what is assigned is new: neither a parameter as it came, nor what was there, with something added."""
        swapped = self.before is not None and self.before.op == "SWAP"  # the end of `x.count += 1`
        top = self._top(depth)
        return not swapped and not (top is not None and (top is GIVEN or top.item))

    def _asked_for(self, owner: Thing | None, name: str) -> Iterator[Deed]:
        if owner is None:
            return
        if is_thread_local(owner.value):
            yield Deed("reads", owner, name)
        elif owner.value is UNKNOWN and owner.lasts:
            if name in METHODS:
                yield from self._changed(owner, at_once=True)
        elif is_mutator(owner.value, name):
            yield from self._changed(owner, at_once=True)

    def _used(self, loaded: Thing) -> Iterator[Deed]:
        value = loaded.value
        if isinstance(value, property):
            if loaded.bound is not None:
                yield Deed("calls", known(value.fget), arguments=(loaded.bound,))
            return
        if type(value) is BuiltinFunctionType and is_mutator(value.__self__, value.__name__) and loaded.bound is None:
            yield Deed("changes", loaded, loaded.name, at_once=True)  # app = SEEN.append, made elsewhere
        if loaded.lasts:
            yield Deed("uses", loaded)

    def _stored(self, of: Thing | None, name: str) -> Iterator[Deed]:
        if of is not None and is_thread_local(of.value):
            yield Deed("sets", of, name)
        else:
            yield from self._changed(of, f".{name}", plain=self._assigns(2))

    def _changed(
        self, thing: Thing | None, attribute: str = "", *, at_once: bool = False, plain: bool = False
    ) -> Iterator[Deed]:
        if thing is None or not thing.lasts or stays_per_process(thing.value):
            return
        whole = at_once and (thing.value is UNKNOWN or is_container(thing.value))
        yield Deed("changes", thing, thing.name + attribute, whole, plain=plain)

    def _called(self, step: Step) -> Iterator[Deed]:
        if step.op == "CALL" and self.before is not None and self.before.op == "PRECALL":
            return  # Python 3.11: looked at before its arguments were popped
        self.result = None
        callee, arguments, keywords = self._call(step)
        if callee is None:
            return
        yield from self._known_call(callee, arguments, keywords)
        self.result = self._result(callee, arguments)
        if arguments is not None and callee.bound is not None:
            arguments = (callee.bound, *arguments)
        yield Deed("calls", callee, arguments=arguments, named=keywords)

    def _call(self, step: Step) -> tuple[Thing | None, tuple[Thing | None, ...] | None, dict[str, Thing | None]]:
        """What is called, and its arguments as far as they are known: those by position, those by name."""
        if step.op == "CALL_FUNCTION_EX":
            count = 1 + (step.arg & 1 or sys.version_info >= (3, 14))
            packed = self._top(count)
            callee = self._top(count + 1) or self._top(count + 2)
            parts = packed.parts if packed is not None and packed.parts and not step.arg & 1 else None
            return callee, parts, {}
        names, count = self.keywords, step.arg
        self.keywords = ()
        stack = self.stack
        if step.op == "CALL_KW":
            top = self._top()
            names = top.value if top is not None and isinstance(top.value, tuple) else ()
            stack = stack[:-1]
        if len(stack) < count + 1:
            return None, None, {}
        given = tuple(stack[len(stack) - count :])
        rest = stack[: len(stack) - count]
        callee = rest[-1] or (rest[-2] if len(rest) > 1 else None)
        plain = given[: count - len(names)]
        return callee, plain, dict(zip(names, given[count - len(names) :], strict=False))

    def _known_call(
        self, callee: Thing, arguments: tuple[Thing | None, ...] | None, keywords: Mapping[str, Thing | None]
    ) -> Iterator[Deed]:
        """What functions of libraries are known to do to their arguments."""
        for option in ("out", "file"):
            given = keywords.get(option)
            if given is not None and (option == "out" or is_container(given.value)):
                yield from self._changed(given)
        inplace = keywords.get("inplace")
        if inplace is not None and inplace.value is True and callee.bound is not None:
            yield from self._changed(callee.bound)
        if not arguments:
            return
        first, name = arguments[0], named(callee.value)
        if name in ADVANCES and first is not None:
            yield from self._changed(first)
        if name[0] == "builtins" and first is not None and is_thread_local(first.value) and len(arguments) > 1:
            second = arguments[1]
            if second is not None and isinstance(second.value, str):
                yield Deed("sets" if name[1] in ("setattr", "delattr") else "reads", first, second.value)
        at = changed_argument(callee.value)
        if at is not None and at < len(arguments):
            yield from self._changed(arguments[at], at_once=name[0] != "builtins")

    def _result(self, callee: Thing, arguments: tuple[Thing | None, ...] | None) -> Thing | None:
        """What a call gives, where that is known."""
        first, name = (arguments[0] if arguments else None), named(callee.value)
        if callee.value is type and first is not None and first.value is not UNKNOWN and len(arguments or ()) == 1:
            return class_of(first)
        if callee.value is super and not arguments:
            return self._super()
        if name == ("builtins", "globals"):
            return Thing("the globals of its module", self.names)
        if name in (("builtins", "getattr"), ("builtins", "vars")) and first is not None:
            second = arguments[1] if arguments is not None and len(arguments) > 1 else None
            return attribute(first, second.value) if second is not None and type(second.value) is str else first
        if isinstance(callee.value, type) and (callee.value.__module__, callee.value.__name__) in _ENTERS:
            return first
        owner, method = callee.bound, name[1].rpartition(".")[2]
        if owner is not None and (is_container(owner.value) or is_array(owner.value)):
            if method in _ELEMENTS:
                return element(owner, first)
            if method in _VIEWS or (method in _SHARING and is_array(owner.value)):
                return owner
        if first is not None and first.lasts and (name in _SHARED or callee.value is memoryview):
            return first
        if isinstance(callee.value, type) and is_program(callee.value.__module__, ""):
            return known(Made(callee.value))
        return known(None) if callee.item and callee.method in METHODS - _ELEMENTS else None

    # --- what it is like --------------------------------------------------------------------------------------------

    def _note(self, step: Step) -> None:
        """Remember what tells a cache from a result."""
        op, top = step.op, self._top()
        if op == "RETURN_VALUE":
            self.returned |= _names(top)
            before = self.before
            if before is not None and before.op.startswith("LOAD_FAST"):
                self.returned |= self.held.get(str(before.value), set())
        elif op in ("UNARY_NOT", "TO_BOOL") or op.startswith(("POP_JUMP", "JUMP_IF")):
            self.asked |= _names(top)
        elif op == "IS_OP":
            self.asked |= _names(self._top(2))
        elif op in ("COMPARE_OP", "BINARY_OP"):
            self.used |= _names(top) | _names(self._top(2))


def _names(thing: Thing | None) -> set[str]:
    return {name for name in (thing.name, thing.inside) if name} if thing is not None else set()


def _has_own_operators(thing: Thing | None) -> bool:
    """Whether `x += y` changes the object itself."""
    return thing is not None and not thing.item and (is_container(thing.value) or is_array(thing.value))


def _is_iterator(thing: Thing) -> bool:
    return thing.lasts and thing.value is not UNKNOWN and hasattr(type(thing.value), "__next__")
