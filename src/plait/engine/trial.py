"""`Trial`: tells waiting from computing while items already run in workers.

With `timeout=` set nothing is measured in this process, since an item that hangs could not be ended here. Workers then
begin with one item at a time each; once their CPU time says that items wait, they get as many as they have threads.
What workers report comes with results. Of items that take long there are none for long: then what the system says of
their processes is looked at meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["GLANCE", "Trial", "Verdict"]

#: Seconds between two looks at workers that have not reported anything; one verdict takes two.
GLANCE = 0.5
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
        self._seen: tuple[int, float, Mapping[int, float]] = (0, 0.0, {})

    def add(self, items: int, busy: float, cpu: float) -> Verdict | None:
        """`items` more took `busy` seconds in the function and `cpu` seconds of CPU; a verdict when it is time."""
        self._items, self._busy, self._cpu = self._items + items, self._busy + busy, self._cpu + cpu
        if (self._busy >= SECONDS and self._items >= ITEMS) or self._items >= MANY:
            return Verdict(min(1.0, self._cpu / max(self._busy, 1e-9)))
        return None

    def glance(self, now: float, cpu: Mapping[int, float]) -> Verdict | None:
        """A look at workers in which items have not ended yet; a verdict if these have only waited since the last one.

        Parameters:
            now: seconds. cpu: seconds of CPU that each of these workers has used, by any name that stays.
        """
        (items, then, before), self._seen = self._seen, (self._items, now, cpu)
        both = cpu.keys() & before.keys()
        if items != self._items or not both or now - then < GLANCE / 2:
            return None
        share = sum(cpu[worker] - before[worker] for worker in both) / (len(both) * (now - then))
        return Verdict(share) if share < WAITS else None
