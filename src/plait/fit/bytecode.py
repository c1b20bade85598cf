"""What a function's bytecode does to things that outlive its call: a walk with a stack of what each value is.

    LOAD_GLOBAL SEEN      [SEEN]                     each entry: the object, where it is known, and its name
    LOAD_METHOD add       [SEEN.add]                 -> SEEN is a set: "adds to the global SEEN"
    LOAD_FAST x ...

The walk goes once through the instructions, and carries the stack along jumps. What is computed is unknown, and
nothing is said of it: a function that hides what it does is taken for harmless.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

from plait.fit.copyable import is_container

__all__ = ["Deed", "Origin", "deeds"]

# fmt: off
MUTATORS = frozenset({
    "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "insert",
    "intersection_update", "pop", "popitem", "popleft", "remove", "reverse", "rotate", "setdefault", "sort",
    "subtract", "symmetric_difference_update", "update", "write", "writelines",
})
# fmt: on
#: Modules whose attributes functions set for their own process, not to hand on results.
_PER_PROCESS = frozenset({"os", "sys", "warnings", "random", "locale", "signal", "gc", "time"})
_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
#: What leaves the top of the stack as it is, once it has popped what it pops.
# fmt: off
_PUSH_NOTHING = (
    "STORE_", "DELETE_", "POP_", "JUMP_", "RESUME", "NOP", "PRECALL", "KW_NAMES", "END_FOR", "MAKE_CELL",
    "COPY_FREE_VARS", "LIST_APPEND", "LIST_EXTEND", "SET_ADD", "SET_UPDATE", "MAP_ADD", "DICT_UPDATE", "DICT_MERGE",
    "EXTENDED_ARG", "CACHE", "END_SEND", "SETUP_ANNOTATIONS",
)
# fmt: on
_UNCONDITIONAL = frozenset({"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "RETURN_VALUE"}) | frozenset(
    {"RETURN_CONST", "RAISE_VARARGS", "RERAISE"}
)


@dataclass(frozen=True, slots=True)
class Origin:
    """A value on the stack that outlives the call.

    Parameters:
        name: how to call it in a message: `"the global SEEN"`.
        value: the object, or `UNKNOWN` for what was taken out of it.
    """

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Deed:
    """What a function does: `kind` is `"writes"`, `"changes"` or `"uses"`.

    Parameters:
        at_once: no other thread sees it half done, as with `append`; not so with `count += 1`.
    """

    kind: str
    origin: Origin
    at_once: bool = False


UNKNOWN = object()
Stack = list[Origin | None]


def deeds(code: CodeType, names: Mapping[str, Any], free: Mapping[str, Any], local: Mapping[str, Any]) -> list[Deed]:
    """What `code` and the functions inside it do to globals, closed-over variables and known arguments.

    Parameters:
        names: its globals. free: its closed-over variables. local: arguments whose value is known (self, defaults).
    """
    outer = {name: Origin(f"the closed-over {name}", value) for name, value in free.items()}
    known = {name: Origin(name if name == "self" else f"its argument {name}", value) for name, value in local.items()}
    return list(_Walk(code, names, outer, known).run())


class _Walk:
    def __init__(
        self, code: CodeType, names: Mapping[str, Any], free: dict[str, Origin], local: dict[str, Origin]
    ) -> None:
        self.code, self.names, self.free = code, names, free
        self.before = ""
        # A parameter that an inner function uses is a cell: found by name like the others.
        self.local: dict[str, Origin | None] = dict(local)
        self.stack: Stack = []

    def run(self) -> Iterator[Deed]:
        stacks: dict[int, Stack] = {}
        for step in dis.get_instructions(self.code):
            if step.offset in stacks:
                self.stack = list(stacks[step.offset])
            deed = self._deed(step)
            if deed is not None:
                yield deed
            self.before = step.opname
            if step.opcode in _JUMPS:
                stacks.setdefault(step.argval, self._after(step, jump=True))
            self._advance(step)
        inner = {**self.free, **{name: origin for name, origin in self.local.items() if origin is not None}}
        for constant in self.code.co_consts:
            if isinstance(constant, CodeType):
                handed_on = {name: inner[name] for name in constant.co_freevars if name in inner}
                yield from _Walk(constant, self.names, handed_on, {}).run()

    def _top(self, depth: int) -> Origin | None:
        return self.stack[-depth] if len(self.stack) >= depth else None

    def _deed(self, step: dis.Instruction) -> Deed | None:
        """What this instruction does to something that outlives the call, before it has done it."""
        name, op = step.argval, step.opname
        if op in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            return Deed("writes", Origin(f"the global {name}", UNKNOWN))
        if op in ("STORE_DEREF", "DELETE_DEREF") and name in self.free:
            # A variable of the enclosing function itself is handed on by value only, and outlives nothing.
            return Deed("writes", self.free[name]) if self.free[name].name == f"the closed-over {name}" else None
        if op in ("STORE_SUBSCR", "DELETE_SUBSCR"):
            return self._changes(self._top(2), at_once=self.before != "SWAP")  # SWAP: the end of `x[key] += 1`
        if op in ("STORE_ATTR", "DELETE_ATTR"):
            return self._changes(self._top(1))
        if op in ("LOAD_METHOD", "LOAD_ATTR") and name in MUTATORS:
            origin = self._top(1)
            if origin is not None and (origin.value is UNKNOWN or is_container(origin.value)):
                return self._changes(origin, at_once=True)
        loaded = self._loaded(step)
        return Deed("uses", loaded) if loaded is not None and not op.startswith("LOAD_FAST") else None

    def _changes(self, origin: Origin | None, at_once: bool = False) -> Deed | None:
        if origin is None or _is_per_process(origin.value):
            return None
        return Deed("changes", origin, at_once and (origin.value is UNKNOWN or is_container(origin.value)))

    def _loaded(self, step: dis.Instruction) -> Origin | None:
        """What a load instruction pushes, where it is known."""
        name, op = step.argval, step.opname
        if op in ("LOAD_GLOBAL", "LOAD_NAME"):
            return Origin(f"the global {name}", self.names[name]) if name in self.names else None
        if op in ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"):
            return self.free.get(name) or self.local.get(name)
        if op in ("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW"):
            return self.local.get(name)
        if op in ("LOAD_ATTR", "LOAD_METHOD"):
            return _attribute(self._top(1), name)
        return None

    def _advance(self, step: dis.Instruction) -> None:
        op, loaded = step.opname, self._loaded(step)
        if isinstance(step.argval, tuple) and "_FAST_" in op:
            self._advance_two(op, step.argval)
            return
        if op in ("STORE_FAST", "STORE_DEREF") and step.argval not in self.free:
            self.local[step.argval] = self._top(1)
        if op == "COPY":
            self.stack.append(self._top(step.arg or 1))
            return
        if op == "SWAP" and len(self.stack) >= (depth := step.arg or 2):
            self.stack[-1], self.stack[-depth] = self.stack[-depth], self.stack[-1]
            return
        element = self._element(op)
        self.stack = self._after(step, jump=False)
        if op in _UNCONDITIONAL:
            self.stack = []
        elif loaded is not None and self.stack:
            # The method form of LOAD_ATTR and the call form of LOAD_GLOBAL push a NULL beside it: any order will do,
            # since nothing is asked of a function that is about to be called.
            self.stack[-1] = loaded
        elif element is not None and self.stack:
            self.stack[-1] = element

    def _advance_two(self, op: str, names: tuple[str, str]) -> None:
        """Two of LOAD_FAST and STORE_FAST in one, as Python 3.13 fuses them."""
        stores = 2 if op == "STORE_FAST_STORE_FAST" else 1 if op.startswith("STORE") else 0
        for name in names[:stores]:
            self.local[name] = self.stack.pop() if self.stack else None
        self.stack += [self.local.get(name) for name in names[stores:]]

    def _element(self, op: str) -> Origin | None:
        """What `SEEN[key]` pushes: something of `SEEN`, so that appending to it counts as changing it."""
        container = self._top(2) if op == "BINARY_SUBSCR" else None
        if container is None or not is_container(container.value):
            return None
        return Origin(container.name, UNKNOWN)

    def _after(self, step: dis.Instruction, *, jump: bool) -> Stack:
        """The stack after an instruction, as far as its size goes; what it pushes is not known."""
        effect = dis.stack_effect(step.opcode, step.arg, jump=jump)
        stack = self.stack[: len(self.stack) + effect] if -len(self.stack) <= effect < 0 else list(self.stack)
        if effect < -len(self.stack):
            stack = []
        stack += [None] * effect
        if not step.opname.startswith(_PUSH_NOTHING):
            pushed = effect + 1 if step.opname.startswith("UNPACK_") else 1
            stack[len(stack) - pushed :] = [None] * min(pushed, len(stack))
        return stack


def _attribute(origin: Origin | None, name: str) -> Origin | None:
    """The attribute of a known object, looked up without running any of its code."""
    if origin is None or origin.value is UNKNOWN:
        return None
    value = origin.value
    if _is_per_process(value):
        return None
    owners: list[Any] = [value]
    if isinstance(value, type):
        owners = list(value.__mro__)
    elif not isinstance(value, ModuleType):
        owners += type(value).__mro__
    for owner in owners:
        held = getattr(owner, "__dict__", None)
        if held is not None and name in held:
            found = held[name]
            computed = hasattr(type(found), "__get__") and not callable(found)  # a property, a slot
            return None if computed else Origin(f"{origin.name}.{name}", found)
    return None


def _is_per_process(value: Any) -> bool:
    if isinstance(value, ModuleType):
        return value.__name__.partition(".")[0] in _PER_PROCESS
    return (type(value).__module__, type(value).__name__) in (("_thread", "_local"), ("os", "_Environ"))
