"""`Suspects`: jobs that have lost a worker before, and when each may run beside others of the kind. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from plait.jobs.protocol import CRASHES
from plait.jobs.records import Claimed

__all__ = ["SHOWN", "Suspects"]

#: Seconds after which a suspect that runs is taken for harmless by those that wait for it.
SHOWN = 5.0


class Suspects:
    """Suspects that were claimed, in the order in which they may run.

    What a suspect kills may be the worker itself, and every other one that has begun there with it. So one that the
    next death would end, a last one, begins when no other suspect does, and none begins beside it: it is not given up
    for what another has done. But nobody waits longer than `SHOWN` seconds for the same one: it may be at work for
    hours, or wait itself for the result of one that waits here.

    **Concurrency** one thread; the others' looks at `waiting` are of a moment.
    """

    def __init__(self) -> None:
        #: Those that may not run yet: a job has a worker's lease here, but has not begun.
        self.waiting: list[Claimed] = []
        self._shown: dict[int, float] = {}  # of those that run: when they have shown themselves
        self._last: set[int] = set()

    def add(self, jobs: Collection[Claimed]) -> None:
        """These were claimed."""
        self.waiting += jobs

    def wanted(self, in_hand: Collection[int], now: float) -> bool:
        """Whether more may be claimed: they would not have to wait, unless they are last ones."""
        return not self.waiting and not self._last & self._young(in_hand, now)

    def admitted(self, in_hand: Collection[int], now: float) -> Iterator[Claimed]:
        """Those that may run now, first come, first served. Each is to run when it is handed out.

        Parameters:
            in_hand: suspects that run already.
            now: seconds of any clock that does not go backwards.
        """
        young = self._young(in_hand, now)
        while self.waiting:
            job = self.waiting[0]
            last = job.crashes >= CRASHES - 1
            if young if last else young & self._last:
                return
            self._shown[job.id] = now + SHOWN
            young.add(job.id)
            if last:
                self._last.add(job.id)
            yield job
            self.waiting.remove(job)  # only now: it is here or in a lane at every moment

    def _young(self, in_hand: Collection[int], now: float) -> set[int]:
        """Suspects that run and have not shown themselves yet."""
        self._shown = {job: shown for job, shown in self._shown.items() if job in in_hand}
        self._last &= self._shown.keys()
        return {job for job, shown in self._shown.items() if shown > now}
