"""`try_out`: runs the next items under one placement for a moment, and measures their pace.

began            opened                          until
  |-- start, 1st --|------------ counted ----------|-- what is in progress ends: counted, too --|
       wave
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from plait import machine
from plait.errors import RunCancelled
from plait.events import Event, WorkerCrashed
from plait.failure import Failure
from plait.placement import Placement
from plait.surface.advising.sampling import in_words
from plait.surface.advising.supply import Supply
from plait.surface.map import map
from plait.surface.run import Run

__all__ = ["TINY", "Item", "Tried", "try_out", "warm"]

#: Seconds that workers get to come up to speed where items are short.
SETTLING = 0.05
#: Items that settling takes at most.
MANY = 100_000
#: Seconds below which items are short, and below which reading the clock for each would be seen in the figures.
SHORT, TINY = 0.02, 20e-6
#: Tiny items are taken and counted so many at a time.
BLOCK = 256
#: Results that come so shortly after the one at which counting begins have travelled with it: they do not count.
BURST = 0.0005
#: Seconds between two looks at the memory.
LOOK = 0.05
#: A figure of items that ran out in less than so many seconds says nothing; nor do so few items, in less than so many.
BRIEF, FEW, LONG = 0.05, 50, 1.0
#: So many workers that died, and more than one for so many items, end a try.
DIED, OFTEN = 3, 10


@dataclass(frozen=True, slots=True)
class Item:
    """What an item takes.

    Parameters:
        seconds: with nothing else in progress. cpu: of these, computing.
        source: seconds that reading one takes.
    """

    seconds: float
    cpu: float = 0.0
    source: float = 0.0

    def pace(self, slots: int) -> float:
        """Items a second at best, with so many in progress."""
        return min(slots / max(self.seconds, 1e-9), machine.cores() / max(self.cpu, 1e-9), 1 / max(self.source, 1e-9))


@dataclass(frozen=True, slots=True)
class Tried:
    """How a placement did.

    Parameters:
        rate: items a second that succeeded, starting left out; `None`: there was no item.
        cpu: cores that were busy on average.
        memory: bytes that it took beyond what was taken before.
        items: how many were run. failures: how many of them failed.
        error: the last failure, in words.
        brief: the items were over before a figure was worth much.
        died: how its workers died, if so many did that it was left.
    """

    placement: Placement
    rate: float | None
    cpu: float | None
    memory: int | None
    items: int
    failures: int = 0
    error: str = ""
    brief: bool = False
    died: str = ""


def try_out(
    fn: Callable[..., Any],
    supply: Supply,
    placement: Placement,
    seconds: float,
    options: Mapping[str, Any],
    *,
    most: int | None = None,
    item: Item | None = None,
) -> Tried:
    """Run the next items of `supply` under `placement`.

    Parameters:
        seconds: how long it is measured, once every slot has had its first item.
        options: of `plait.map`, passed on.
        most: items at most. item: what one takes, where known.
    """
    slots = (placement.workers or 1) * (placement.width or 1)
    block = BLOCK if item is not None and item.seconds + item.source < TINY else 1
    watch, before = _Watch(_head(slots, most, item), seconds, placement), supply.handed
    asked = {"buffer": _buffer(slots, seconds, item), **options}
    # Unordered: a slow item would hold back the results that are to be counted.
    run = map(
        fn,
        supply.part(watch.goes_on, most, block),
        model=placement,
        **{**asked, "ordered": False, "on_error": "return", "progress": False},
    )
    watch.begin(run)
    with run.observe(watch.crashed, types=[WorkerCrashed]), contextlib.suppress(RunCancelled), run:
        results = iter(run)
        while some := list(islice(results, block)):
            watch.count(some)
    handed = supply.handed - before
    return watch.tried(handed, scarce=supply.ended or handed == most)


def warm(placement: Placement, workers: int) -> None:
    """Start worker processes, so that starting them is not taken for the pace of the items."""
    if placement.place == "processes":
        at = Placement("processes", "serial", workers, 1)
        map(time.sleep, [0.01] * (2 * workers), model=at, progress=False).wait()


def _head(slots: int, most: int | None, item: Item | None) -> int:
    """Results that are let go by before counting begins: every slot's first, more where they are short."""
    head = slots
    if item is not None and item.seconds < SHORT:
        head = max(slots, min(MANY, math.ceil(SETTLING * item.pace(slots))))
    return head if most is None else max(slots, min(head, most // 4))


def _buffer(slots: int, seconds: float, item: Item | None) -> int:
    """Room for what keeps every slot busy and no more, so that a try ends soon after its time."""
    if item is None:
        return 2 * slots + 8
    if item.seconds > seconds / 2:
        return slots
    return math.ceil(1.5 * slots) + 8 + min(MANY, math.ceil(SETTLING * item.pace(slots)))


class _Watch:
    """Counts results, and says when it is enough. `goes_on` is asked by the thread that reads the items."""

    def __init__(self, head: int, seconds: float, placement: Placement) -> None:
        self._head, self._seconds, self._placement = head, seconds, placement
        self._items = self._failed = self._failed_before = self._opened_at = 0
        self._opened = self._last = self._looked = 0.0
        self._error = self._died = ""
        self._crashes = 0
        self._cpu = 0.0
        self._pid = os.getpid()

    def begin(self, run: Run[Any]) -> None:
        self._run = run
        self._began, self._cpu_began = time.perf_counter(), self._cpu_now()
        self._before = self._peak = machine.resident_bytes(self._pid) or 0

    def crashed(self, event: Event) -> None:
        """A worker died: where most do, that is all there is to learn, and the run is ended."""
        self._crashes += 1
        if self._crashes >= DIED and self._crashes * OFTEN > self._items:
            self._died = getattr(event, "status", "")
            self._run.cancel()

    def goes_on(self) -> bool:
        now = time.perf_counter()
        if now > self._looked + LOOK:
            self._looked = now
            self._peak = max(self._peak, machine.resident_bytes(self._pid) or 0)
        return now < (self._opened or self._began + self._seconds) + self._seconds

    def count(self, results: list[Any]) -> None:
        self._last = time.perf_counter()
        self._items += len(results)
        for failure in [result for result in results if type(result) is Failure]:
            self._failed += 1
            self._error = in_words(failure.exception)
        if self._opened and self._last < self._opened + BURST:
            self._opened_at, self._failed_before = self._items, self._failed
        elif self._items >= self._head and not self._opened:
            self._opened_at = self._items
            self._opened, self._cpu, self._failed_before = self._last, self._cpu_now(), self._failed

    def _cpu_now(self) -> float:
        mine = time.process_time()
        return mine if self._placement.place == "here" else mine + float(self._run.report.to_dict()["cpu_seconds"])

    def tried(self, handed: int, *, scarce: bool) -> Tried:
        """What was found.

        Parameters:
            handed: items that were taken. scarce: there were no more for this.
        """
        if self._died:
            lost, error = handed - self._items + self._failed, f"WorkerLost: a worker died: {self._died}"
            return Tried(self._placement, None, None, None, handed, lost, error, died=self._died)
        if not self._items:
            return Tried(self._placement, None, None, None, 0)
        counted, failed = self._items - self._opened_at, self._failed - self._failed_before
        began, cpu = self._opened, self._cpu
        if not began or counted < 1:  # the items ran out in their first wave: all of it counts, its start included
            counted, failed, began, cpu = self._items, self._failed, self._began, self._cpu_began
        taken = max(self._last - began, 1e-9)
        busy = (self._cpu_now() - cpu) / max(time.perf_counter() - began, 1e-9)
        memory: int | None = max(0, max(self._peak, machine.resident_bytes(self._pid) or 0) - self._before)
        if self._placement.place != "here":
            memory = int(self._run.report.to_dict()["peak_worker_bytes"]) or None
        rate = (counted - failed) / taken
        # What workers report comes with their results: a little of it belongs to the time before.
        busy = min(busy, float(machine.cores()))
        brief = scarce and (taken < BRIEF or (counted < FEW and taken < LONG))
        return Tried(self._placement, rate, busy, memory, self._items, self._failed, self._error, brief)
