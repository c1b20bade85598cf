"""How many items may be in progress at once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from plait.errors import OptionError

__all__ = ["Limit"]


@dataclass(frozen=True, slots=True)
class Limit:
    """How many items may be in progress at once, all workers together.

    Parameters:
        n: a whole number from 1.
        key: a function of the item; each of its values has the limit for itself. `None`: one limit for the whole run.

    An item that waits for a retry is not in progress.

    Raises:
        OptionError: a value makes no sense; the message says what to write.
    """

    n: int
    key: Callable[[Any], Hashable] | None = None

    def __post_init__(self) -> None:
        try:
            count = -1 if isinstance(self.n, bool) else operator.index(self.n)
        except TypeError:
            count = -1
        if count < 1:
            raise OptionError("limit", self.n, "it takes a whole number from 1: items in progress at once")
        object.__setattr__(self, "n", count)
        if self.key is not None and not callable(self.key):
            wants = "it takes a function of the item, like key=host, or None for the whole run"
            raise OptionError("key", self.key, wants)
