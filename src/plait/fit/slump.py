"""`Slump`: whether items have just begun to end far more slowly than before. Pure: the clock is handed in."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Slump", "Sums"]

#: Looks over which items end so many times more slowly; items that ended before, for there to be something to compare.
LOOKS, SLOWER, SOME = 3, 2.5, 10


class Sums(NamedTuple):
    """What a stretch has come to at some moment: items that ended, seconds in progress, CPU seconds."""

    at: float
    items: int = 0
    busy: float = 0.0
    cpu: float = 0.0


class Slump:
    """Compares the last looks with all that came before.

    Parameters:
        began: the sums when the stretch began.
        was: items a second before that, where it is known.
    """

    def __init__(self, began: Sums, was: float = 0.0) -> None:
        self._began, self._was = began, was
        self._last = [began]

    def look(self, now: Sums) -> Sums | None:
        """The sums when the slump began, if one did: only what comes after them counts."""
        mark, self._last = self._last[0], [*self._last[1 - LOOKS :], now]
        before = mark.at - self._began.at
        if len(self._last) < LOOKS or now.at <= mark.at:
            return None
        rate = (now.items - mark.items) / (now.at - mark.at)
        some = before > 0 and mark.items - self._began.items >= SOME
        was = (mark.items - self._began.items) / before if some else self._was
        return mark if was > SLOWER * rate else None
