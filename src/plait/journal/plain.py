"""Which values consist of plain data only: what a codec gives back exactly as it was."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

__all__ = ["DEEPEST", "SCALARS", "is_plain"]

SCALARS: frozenset[type] = frozenset({type(None), bool, int, float, str, bytes})

#: Levels of lists and dicts within each other: what is encoded can be decoded, however deep the caller's stack is.
DEEPEST = 200


def is_plain(value: Any, scalars: Set[type], keys: Set[type], levels: int = DEEPEST) -> bool:
    """Whether `value` is one of `scalars`, or lists and dicts (with `keys` as keys) of such, and of no other type.

    Types count as they are: an `IntEnum` is no `int`, an `OrderedDict` no `dict`, though they compare equal.

    **Cost**: some 20 ns for each scalar.
    """
    kind = type(value)
    if kind in scalars:
        return True
    if kind is dict:
        if not keys >= set(map(type, value)):
            return False
        parts = value.values()
    elif kind is list:
        parts = value
    else:
        return False
    if scalars >= set(map(type, parts)):
        return True
    return levels > 0 and all(is_plain(part, scalars, keys, levels - 1) for part in parts)
