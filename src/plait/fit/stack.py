"""`Stacked`: the stack of a function that is only looked at, instruction by instruction, and its local variables."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import replace
from types import CodeType
from typing import Any

from plait.fit.steps import Step
from plait.fit.things import UNKNOWN, Super, Thing, attribute, element, known, unpacked, view

__all__ = ["GIVEN", "Stack", "Stacked"]

_UNCONDITIONAL = frozenset({"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "RETURN_VALUE"}) | frozenset(
    {"RETURN_CONST", "RAISE_VARARGS", "RERAISE"}
)
Stack = list[Thing | None]
#: A parameter of which nothing is known.
GIVEN = Thing()


class Stacked:
    """What is known of the values of one function.

    Parameters:
        names: its globals. free: its closed-over variables. local: arguments whose value is known (self, defaults).

    Attributes:
        result: what the call that is next gives, where that is known.
        gives: whether it ever gives back anything but a constant.
    """

    def __init__(
        self, code: CodeType, names: Mapping[str, Any], free: Mapping[str, Thing], local: Mapping[str, Thing | None]
    ) -> None:
        self.code, self.names, self.free = code, names, free
        self.before: Step | None = None
        # A parameter that an inner function uses is a cell: found by name like the others.
        parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        self.local: dict[str, Thing | None] = {**dict.fromkeys(parameters, GIVEN), **local}
        self.held: dict[str, set[str]] = {}  # local name -> containers that it ever held an element of
        self.stack: Stack = []
        self.keywords: tuple[str, ...] = ()
        self.result: Thing | None = None
        self.gives = False

    def _top(self, depth: int = 1) -> Thing | None:
        return self.stack[-depth] if len(self.stack) >= depth else None

    def _gives(self, value: Thing | None) -> None:
        if value is None or value.lasts or value.value is UNKNOWN:
            self.gives = True

    def _super(self) -> Thing | None:
        me = next((self.local.get(name) for name in self.code.co_varnames[:1]), None)
        after = self.free.get("__class__")
        if me is None or me.value is UNKNOWN or after is None:
            return None
        return replace(me, value=Super(me.value, after.value))

    def _owner(self, step: Step) -> Thing | None:
        if step.op == "LOAD_SUPER_ATTR":  # Python 3.12: super().name in one
            return self._super()
        return self._top()

    def _loaded(self, step: Step) -> Thing | None:
        """What a load instruction pushes, where it is known."""
        name, op = step.value, step.op
        if op in ("LOAD_GLOBAL", "LOAD_NAME"):
            if name in self.names:
                return Thing(f"the global {name}", self.names[name])
            found = getattr(builtins, name, UNKNOWN)
            return None if found is UNKNOWN else known(found)
        if op in ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"):
            return self.free.get(name) or self.local.get(name)
        if op.startswith("LOAD_FAST") and isinstance(name, str):
            return self.local.get(name)
        if op in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"):
            return attribute(self._owner(step), name)
        if op in ("LOAD_CONST", "LOAD_SMALL_INT"):
            return known(name)
        return None

    def _advance(self, step: Step) -> None:
        op = step.op
        if isinstance(step.value, tuple) and "_FAST_" in op:
            self._advance_two(op, step.value)
        elif op == "COPY":
            self.stack.append(self._top(step.arg or 1))
        elif op == "SWAP" and len(self.stack) >= (depth := step.arg or 2):
            self.stack[-1], self.stack[-depth] = self.stack[-depth], self.stack[-1]
        elif op.startswith("UNPACK_SEQUENCE"):
            members = unpacked(self._top(), step.arg)
            self.stack = [*self.stack[:-1], *reversed(members)]
        elif op != "GET_ITER" or self._top() is None:
            if op in ("STORE_FAST", "STORE_DEREF") and step.value not in self.free:
                self._store(step.value, self._top())
            elif op == "KW_NAMES":
                self.keywords = self.code.co_consts[step.arg]
            elif op.startswith("RETURN_"):
                self._gives(self._top() if op == "RETURN_VALUE" else known(step.value))
            self._push(step, self._pushed(step))

    def _push(self, step: Step, pushed: Thing | None) -> None:
        stack = self.stack = [] if step.op in _UNCONDITIONAL else self._after(step, step.effect)
        if stack and step.pushes:
            # The method form of LOAD_ATTR and the call form of LOAD_GLOBAL push a NULL beside it: any order will do,
            # since whichever of the two is known is what is called.
            stack[-1] = pushed
            if step.effect == 1 and step.op in ("LOAD_METHOD", "LOAD_ATTR"):
                stack[-2] = None

    def _store(self, name: str, thing: Thing | None) -> None:
        self.local[name] = thing
        if thing is not None and thing.inside:
            self.held.setdefault(name, set()).add(thing.inside)

    def _pushed(self, step: Step) -> Thing | None:
        """What an instruction leaves on top, where that is known."""
        op = step.op
        if op in ("CALL", "CALL_KW", "CALL_FUNCTION_EX"):
            result, self.result = self.result, None
            return result
        if op == "BINARY_SUBSCR":
            key = self._top()
            is_slice = self.before is not None and self.before.op == "BUILD_SLICE"
            if is_slice or (key is not None and isinstance(key.value, slice)):
                return view(self._top(2))
            return element(self._top(2), key)
        if op == "BINARY_SLICE":
            return view(self._top(3))
        if op == "FOR_ITER":
            return element(self._top(), None)
        if op == "BEFORE_WITH":
            return self._top()
        if op == "BUILD_TUPLE" and 0 < step.arg <= len(self.stack):
            parts = tuple(self.stack[len(self.stack) - step.arg :])
            return Thing("", UNKNOWN, parts=parts) if any(parts) else None
        return self._loaded(step)

    def _advance_two(self, op: str, names: tuple[str, str]) -> None:
        """Two of LOAD_FAST and STORE_FAST in one, as Python 3.13 fuses them."""
        stores = 2 if op == "STORE_FAST_STORE_FAST" else 1 if op.startswith("STORE") else 0
        for name in names[:stores]:
            self._store(name, self.stack.pop() if self.stack else None)
        self.stack += [self.local.get(name) for name in names[stores:]]

    def _after(self, step: Step, effect: int) -> Stack:
        """The stack after an instruction, as far as its size goes; what it pushes is not known."""
        stack = self.stack[: len(self.stack) + effect] if -len(self.stack) <= effect < 0 else list(self.stack)
        if effect < -len(self.stack):
            stack = []
        stack += [None] * effect
        if step.pushes:
            stack[len(stack) - step.pushes :] = [None] * min(step.pushes, len(stack))
        return stack
