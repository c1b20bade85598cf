"""`Suspects`: jobs that have lost a worker before, and when each may run beside others of the kind. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping

from plait.jobs.protocol import CRASHES
from plait.jobs.records import Claimed

__all__ = ["OPENING", "SHOWN", "Suspects"]

#: Seconds after whose beginning a suspect is taken for harmless by those that wait for it.
SHOWN = 5.0
#: Seconds that those wait at most for its beginning: what it needs may take long to make.
OPENING = 60.0


class Suspects:
    """Suspects that were claimed, in the order in which they may run.

    What a suspect kills may be the worker itself, and every other one that has begun there with it. So one that the
    next death would end, a last one, begins when no other suspect does, and none begins beside it: it is not given up
    for what another has done. But nobody waits for one that has begun longer than `SHOWN` seconds: it may be at work
    for hours, or wait itself for the result of one that waits here.

    **Concurrency** one thread; others may look at `waiting`, and `drop` what waits.
    """

    def __init__(self) -> None:
        #: Those that may not run yet: a job has a worker's lease here, but has not begun.
        self.waiting: list[Claimed] = []
        self._shown: dict[int, float] = {}  # of those that run: when they will have shown themselves
        self._begun: set[int] = set()
        self._last: set[int] = set()

    def add(self, jobs: Collection[Claimed]) -> None:
        """These were claimed."""
        self.waiting += jobs

    def drop(self, job: Claimed) -> None:
        """It is not to run."""
        with contextlib.suppress(ValueError):  # it may be about to run
            self.waiting.remove(job)

    def wanted(self, in_hand: Mapping[int, bool], now: float) -> bool:
        """Whether more may be claimed: they would not have to wait, unless they are last ones."""
        return not self.waiting and not self._last & self._young(in_hand, now)

    def admitted(self, in_hand: Mapping[int, bool], now: float) -> Iterator[Claimed]:
        """Those that may run now, first come, first served. Each is to run when it is handed out.

        Parameters:
            in_hand: suspects that run, and whether they have begun.
            now: seconds of any clock that does not go backwards.
        """
        self._shown = {job: shown for job, shown in self._shown.items() if job in in_hand}
        self._begun &= in_hand.keys()
        self._last &= in_hand.keys()
        young = self._young(in_hand, now)
        while (job := next(iter(self.waiting), None)) is not None:  # others may drop it meanwhile
            last = job.crashes >= CRASHES - 1
            if young if last else young & self._last:
                return
            self._shown[job.id] = now + OPENING
            young.add(job.id)
            if last:
                self._last.add(job.id)
            yield job
            self.drop(job)  # only now: it is here or in a lane at every moment

    def _young(self, in_hand: Mapping[int, bool], now: float) -> set[int]:
        """Suspects that run and have not shown themselves yet."""
        for job, begun in in_hand.items():
            if begun and job in self._shown and job not in self._begun:
                self._begun.add(job)
                self._shown[job] = now + SHOWN
        return {job for job, shown in self._shown.items() if job in in_hand and shown > now}
