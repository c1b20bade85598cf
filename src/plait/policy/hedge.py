"""Issuing stragglers a second time: `Hedge` is what the user says, `Stragglers` tells who is one."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from math import ceil
from numbers import Real

from plait.errors import OptionError

__all__ = ["ENOUGH", "WINDOW", "Hedge", "Stragglers"]

#: Attempts to have seen before any is called a straggler.
ENOUGH = 20
#: The percentile is that of so many attempts, the last ones: durations drift.
WINDOW = 500


@dataclass(frozen=True, slots=True)
class Hedge:
    """From when on an attempt is a straggler, and how many may be issued a second time.

    Parameters:
        percentile: the share of attempts that end sooner than a straggler, from 0.5 to below 1.
        most: the share of items that may be issued twice, above 0 and up to 1.

    Raises:
        OptionError: a value makes no sense; the message says what to write.

    Caution: only for functions that may run twice for one item, at the same time.

    Source: hedged requests, Dean and Barroso, "The Tail at Scale" (2013).
    """

    percentile: float = 0.95
    most: float = 0.05

    def __post_init__(self) -> None:
        if not (_number(self.percentile) and 0.5 <= self.percentile < 1):
            wants = "it takes True or a percentile from 0.5 to below 1, like 0.95, or a plait.Hedge"
            raise OptionError("hedge", self.percentile, wants)
        if not (_number(self.most) and 0 < self.most <= 1):
            raise OptionError("most", self.most, "it takes a share of the items, above 0 and up to 1, like 0.05")


def _number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


class Stragglers:
    """From when on an attempt in progress is a straggler, and whether one more may be issued a second time.

    Both come from the attempts that have ended. Each earns `most` of a second issue; savings are bounded to what
    `WINDOW` attempts earn, so that a service that turns slow after a long good time does not get its load doubled.
    Among any `n` attempts that end one after the other, at most `most * (n + WINDOW)` second issues are made, and
    never more than `most` of all that have ended.

    Cost: about 1 us an attempt.
    """

    __slots__ = ("_hedge", "_last", "_saved", "_sorted")

    def __init__(self, hedge: Hedge) -> None:
        self._hedge = hedge
        self._last: deque[float] = deque()
        self._sorted: list[float] = []
        self._saved = 0.0

    def observed(self, seconds: float) -> None:
        """An item had its answer after `seconds`.

        Of an item that was issued twice: seconds since it was issued first. Leaving such items out would make
        stragglers look rarer and shorter than they are, and more and more be issued.
        """
        if not seconds >= 0:  # a clock that was set back, or nan
            return
        if len(self._last) == WINDOW:
            del self._sorted[bisect_left(self._sorted, self._last.popleft())]
        self._last.append(seconds)
        insort(self._sorted, seconds)
        self._saved = min(self._saved + self._hedge.most, max(1.0, self._hedge.most * WINDOW))

    def threshold(self) -> float | None:
        """Seconds from which on an attempt in progress is a straggler; `None` until enough have ended."""
        count = len(self._sorted)
        return self._sorted[ceil(self._hedge.percentile * count) - 1] if count >= ENOUGH else None

    def may(self) -> bool:
        """Whether one more may be issued a second time."""
        return self._saved >= 1.0

    def issued(self) -> None:
        """One was issued a second time."""
        self._saved -= 1.0
