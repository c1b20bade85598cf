"""`steps`: the instructions of a function with what they do to the size of the stack, decoded once."""

from __future__ import annotations

import dis
from types import CodeType
from typing import Any, NamedTuple

__all__ = ["Step", "steps"]

_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
#: What leaves the top of the stack as it is, once it has popped what it pops.
# fmt: off
_PUSH_NOTHING = (
    "STORE_", "DELETE_", "POP_", "JUMP_", "RESUME", "NOP", "PRECALL", "KW_NAMES", "END_FOR", "MAKE_CELL",
    "COPY_FREE_VARS", "LIST_APPEND", "LIST_EXTEND", "SET_ADD", "SET_UPDATE", "MAP_ADD", "DICT_UPDATE", "DICT_MERGE",
    "EXTENDED_ARG", "CACHE", "END_SEND", "SETUP_ANNOTATIONS", "NOT_TAKEN",
)
# fmt: on
#: Functions whose instructions are kept.
KEPT = 512
_kept: dict[int, tuple[CodeType, tuple[Step, ...]]] = {}


class Step(NamedTuple):
    """One instruction.

    Parameters:
        value: what it is about: a name, a constant, the offset that it jumps to.
        effect: by how much the stack grows; jumped: the same where it jumps.
        pushes: values that it puts on top.
    """

    offset: int
    op: str
    arg: int
    value: Any
    jumps: bool
    effect: int
    jumped: int
    pushes: int


def steps(code: CodeType) -> tuple[Step, ...]:
    """The instructions of `code`.

    Cost: some 5 us an instruction, once for each function.
    """
    found = _kept.get(id(code))
    if found is not None and found[0] is code:
        return found[1]
    made = tuple(map(_step, dis.get_instructions(code)))
    if len(_kept) >= KEPT:
        _kept.clear()
    _kept[id(code)] = (code, made)
    return made


def _step(found: dis.Instruction) -> Step:
    op, jumps = found.opname, found.opcode in _JUMPS
    if op == "BINARY_OP" and found.argrepr == "[]":  # Python 3.14
        op = "BINARY_SUBSCR"
    effect = dis.stack_effect(found.opcode, found.arg, jump=False)
    pushes = 0
    if not op.startswith(_PUSH_NOTHING):
        pushes = effect + 1 if op.startswith("UNPACK_") else 1
    jumped = dis.stack_effect(found.opcode, found.arg, jump=True) if jumps else effect
    return Step(found.offset, op, found.arg or 0, found.argval, jumps, effect, jumped, pushes)
