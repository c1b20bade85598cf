"""`Trial`: tells waiting from computing while items already run in workers.

With `timeout=` set nothing is measured in this process, since an item that hangs could not be ended here. Workers then
begin with one item at a time each; once their CPU time says that items wait, they get as many as they have threads.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Trial", "Verdict"]

#: Seconds in the function, and items, after which a verdict is worth something; or so many items, however short.
SECONDS, ITEMS, MANY = 0.05, 3, 500
#: CPU share below which items count as waiting.
WAITS = 0.3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the trial found: the CPU share, and whether items wait."""

    share: float

    @property
    def waits(self) -> bool:
        """Whether threads would help."""
        return self.share < WAITS


class Trial:
    """Judges from what workers report with their results."""

    def __init__(self) -> None:
        self._items, self._busy, self._cpu = 0, 0.0, 0.0

    def add(self, items: int, busy: float, cpu: float) -> Verdict | None:
        """`items` more took `busy` seconds in the function and `cpu` seconds of CPU; a verdict when it is time."""
        self._items, self._busy, self._cpu = self._items + items, self._busy + busy, self._cpu + cpu
        if (self._busy >= SECONDS and self._items >= ITEMS) or self._items >= MANY:
            return Verdict(min(1.0, self._cpu / max(self._busy, 1e-9)))
        return None
