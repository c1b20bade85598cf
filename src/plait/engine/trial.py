"""`Trial`: tells waiting from computing while items already run in workers.

With `timeout=` set nothing is measured in this process, since an item that hangs could not be ended here. Workers then
begin with one item at a time each; once their CPU time says that items wait, they get as many as they have threads.
What workers report comes with results. Of items that take long there are none for long: then what the system says of
their processes is looked at meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["GLANCE", "Trial", "Used", "Verdict"]

#: Seconds between two looks at workers that have not reported anything; one verdict takes two.
GLANCE = 0.5
#: Seconds in the function, and items, after which a verdict is worth something; or so many items, however short.
SECONDS, ITEMS, MANY = 0.05, 3, 500
#: CPU share below which items count as waiting.
WAITS = 0.3


class Used(NamedTuple):
    """Seconds of CPU that a process has used, and seconds for which its threads were ready to run and had none."""

    cpu: float
    queued: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the trial found: the CPU share, and whether items wait."""

    share: float

    @property
    def waits(self) -> bool:
        """Whether threads would help."""
        return self.share < WAITS


class Trial:
    """Judges from what workers report with their results, and from what the system says of their processes.

    Time for which a worker was ready to run and had no CPU is not waiting: a busy machine would have all items wait.
    """

    def __init__(self) -> None:
        self._items, self._busy, self._cpu = 0, 0.0, 0.0
        self._queued: dict[int, float] = {}
        self._seen: tuple[int, float, Mapping[int, Used]] = (0, 0.0, {})

    def met(self, worker: int, queued: float) -> None:
        """A worker is there that has had no CPU for `queued` seconds so far."""
        self._queued[worker] = queued

    def add(self, items: int, busy: float, cpu: float, worker: int = 0, queued: float = 0.0) -> Verdict | None:
        """`items` more took `busy` seconds in the function and `cpu` seconds of CPU; a verdict when it is time.

        Parameters:
            worker: who ran them. queued: seconds for which it has had no CPU, since its beginning.
        """
        idle = max(0.0, queued - self._queued.get(worker, queued))
        self._queued[worker] = queued
        self._items, self._busy, self._cpu = self._items + items, self._busy + max(cpu, busy - idle), self._cpu + cpu
        if (self._busy >= SECONDS and self._items >= ITEMS) or self._items >= MANY:
            return Verdict(min(1.0, self._cpu / max(self._busy, 1e-9)))
        return None

    def glance(self, now: float, used: Mapping[int, Used]) -> Verdict | None:
        """A look at workers in which items have not ended yet; a verdict if these have only waited since the last one.

        Parameters:
            now: seconds. used: what each of these workers has used, by any name that stays.
        """
        (items, then, before), self._seen = self._seen, (self._items, now, used)
        both = used.keys() & before.keys()
        if items != self._items or not both or now - then < GLANCE / 2:
            return None
        cpu = sum(used[worker].cpu - before[worker].cpu for worker in both)
        queued = sum(used[worker].queued - before[worker].queued for worker in both)
        share = min(1.0, cpu / max(len(both) * (now - then) - queued, cpu, 1e-9))
        return Verdict(share) if share < WAITS else None
