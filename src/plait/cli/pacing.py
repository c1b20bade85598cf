"""Rates and limits as flags: `--rate 500/s --rate 5/s --rate-key host`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import plait
from plait.cli.flags import FlagError
from plait.cli.target import load

__all__ = ["Field", "limits_of", "rates_of"]


class Field:
    """What an item has under a name, as a function of the item."""

    def __init__(self, flag: str, name: str) -> None:
        self.flag, self.name = flag, name

    def __call__(self, item: Any) -> Hashable:
        """The field's value."""
        if not isinstance(item, Mapping):
            kind = type(item).__name__
            raise TypeError(f"{self.flag} {self.name} names a field, and the item is of type {kind}: give FILE.py:FUNC")
        if self.name not in item:
            raise KeyError(f"{self.flag} {self.name}: the item has no such field, but {', '.join(map(str, item))}")
        found: Hashable = item[self.name]
        return found

    def __repr__(self) -> str:
        return f"<field {self.name!r}>"


def rates_of(texts: Sequence[str], key: str | None) -> list[plait.Rate] | None:
    """What the flags say; the last has the key."""
    return _made(plait.Rate, [_number(text) for text in texts], key, "--rate")


def limits_of(counts: Sequence[int], key: str | None) -> list[plait.Limit] | None:
    """What the flags say; the last has the key."""
    return _made(plait.Limit, counts, key, "--limit")


def _made(kind: Callable[..., Any], values: Sequence[Any], key: str | None, flag: str) -> list[Any] | None:
    if key is not None and not values:
        raise FlagError(
            f"{flag}-key {key}", f"says what the last {flag} goes by, and there is none", f"give {flag}, too"
        )
    if not values:
        return None
    last = {} if key is None else {"key": load(key) if ":" in key else Field(f"{flag}-key", key)}
    return [*(kind(value) for value in values[:-1]), kind(values[-1], **last)]


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
