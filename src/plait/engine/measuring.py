"""`Measuring`: runs the first items of a source in this process, each once, and measures them on the way.

As soon as they look like work for other processes, workers are started in the background: nothing waits for them. And
where an item waits for long, nothing waits for it: the run goes on in another thread, which begins others beside it.

    this thread    |-- item 0: waits ..............................|-- hands its outcome to the lane, ends
    the ticker           |-- it does not compute: go on without it
    another thread       |-- chooses threads, begins items 1, 2, 3 ...
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import replace
from types import CoroutineType
from typing import Any, NamedTuple

from plait import machine
from plait.engine.earlier import Earlier
from plait.engine.lane import Lane
from plait.engine.rules import Rules
from plait.engine.source import source_broke
from plait.fit.evidence import Evidence
from plait.fit.probe import Probe
from plait.fit.reasons import WAITS
from plait.fit.sizes import size_of
from plait.places.processes.pool import default_pool
from plait.places.processes.travel import cost, why_not
from plait.styles.batch import Raised, raised
from plait.styles.resources import open_sync
from plait.styles.serial import refuse_coroutine
from plait.styles.threads import inside
from plait.sync.ticker import ticker

__all__ = ["Measuring", "ReturnedCoroutine"]

#: First items whose pickling is timed; bytes above which one of them is enough.
LOOKED_AT, HEAVY = 8, 256 << 10
#: Seconds of work for which workers are started before it is known whether they are needed.
MUCH = 0.25
#: Seconds after which results are handed on. At each item, the locks of that would let go of the GIL, and the canary
#: in: short items in Python would pass for items that release it.
TELL = 0.010
#: Seconds after which an item that only waits is not waited for.
PATIENT = 0.02
#: Mean seconds of the items before, from which on it is worth a look at the clocks.
LONG = 0.005

_NOTHING = object()


class ReturnedCoroutine(Exception):
    """A function that is not async, as far as could be seen, returned a coroutine for `item`."""

    def __init__(self, item: Any) -> None:
        self.item = item


class _Hand(NamedTuple):
    """An item in hand that the run may go on without: when it began, and the thread's clocks then."""

    began: float
    cpu: float
    queued: float


class Measuring:
    """Runs the first items here, each once, and measures them."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        source: Iterator[Any],
        rules: Rules,
        lane: Lane,
        earlier: Earlier,
        leave: Callable[[], None],
    ) -> None:
        self.function, self.source, self.rules, self.lane, self.earlier = function, source, rules, lane, earlier
        self._leave = leave
        self.left: int | None = None  # index of the item that the run has gone on without
        self.late = 0.0  # seconds that it took
        self._hand: _Hand | None = None
        self.evidence: Evidence | None = None
        self.ended = False  # the source has
        self.travel: str | None = None  # why items cannot travel
        self._ran = 0
        self._seen: list[tuple[Any, Any]] = []
        self._untold: list[tuple[Any, Any, Raised | None]] = []
        self._allowed, self._told = 0, 0.0
        self._in_source = False
        self._thread = 0
        self._clock: int | None = None
        self._lock = threading.Lock()
        self._starting = not may_leave(function, rules)
        models = rules.model if isinstance(rules.model, tuple) else ("threads",)
        threads = "threads" in models or "processes+threads" in models
        self._beside = threads and not inside.get() and rules.pins(function).alone is None

    def run(self) -> Measuring:
        """Until it is enough."""
        if self.earlier.leaves and not self._starting:
            self._start()
        call, close = open_sync(self.function, self.rules.resources)
        off = ticker().every(TELL, self._look)
        self._thread = threading.get_native_id()
        with contextlib.suppress(AttributeError, OSError):  # not everywhere
            self._clock = time.pthread_getcpuclockid(threading.get_ident())
        context = copy_context()  # each item runs in a copy: what one sets must not reach the next
        probe = Probe()
        try:
            with probe:
                while self._room(probe) and (item := self._next(probe)) is not _NOTHING:
                    self._call(probe, lambda one: context.copy().run(call, one), item)
                    if self.left is not None:
                        return self
                    if probe.enough() or self.lane.retrying or self.earlier.confirms(*probe.so_far):
                        break
                self._tell()
                if self._ran:
                    self.evidence = replace(probe.evidence(), pickling=self._pickling())
                    figures = self.lane.figures
                    if (figures.fed or figures.feeds) and self.evidence.cpu_share < WAITS:
                        self.evidence = replace(self.evidence, gil_held=None)  # it was other stages that held it
                    if self.earlier.confirmed and self.earlier.recalled is not None:
                        self.evidence = self.earlier.recalled.evidence  # of more items than these few
                self.ended = self.ended or self.lane.over
                return self
        finally:
            off()
            close()
            with self.lane.lock:
                seconds, cpu = probe.spent
                self.lane.figures.busy += seconds
                self.lane.figures.cpu += cpu

    def _room(self, probe: Probe) -> bool:
        """Whether another item may be read. Looks, and tells of the results, every few milliseconds only."""
        now = time.perf_counter()
        if self._untold and len(self._untold) < self._allowed and now - self._told < TELL and not self.lane.over:
            return True
        self._tell()
        if not self._starting and probe.computes and self._much_left(probe):
            self._start()
        lane = self.lane
        if not lane.may_read():
            return False
        self._allowed, self._told = lane.outlet.room(lane.figures.read), time.perf_counter()
        return True

    def _tell(self) -> None:
        with self._lock:
            untold, self._untold = self._untold, []
            if untold:
                self.lane.probed(untold)

    def _look(self) -> None:
        """From the ticker: results must not wait for a source that takes its time."""
        if self._in_source and self._untold and time.perf_counter() - self._told > TELL:
            self._tell()
        hand = self._hand
        if hand is not None and time.perf_counter() - hand.began > PATIENT and self._waits(hand):
            self._go_on(hand)

    def _waits(self, hand: _Hand) -> bool:
        """Whether the item in hand does nothing but wait, and others may run beside it."""
        assert self._clock is not None
        elapsed = time.perf_counter() - hand.began
        computed = time.clock_gettime(self._clock) - hand.cpu
        queued = (machine.queued_seconds(os.getpid(), self._thread) or 0.0) - hand.queued
        return self._beside and elapsed - computed - queued > 0.9 * elapsed

    def _go_on(self, hand: _Hand) -> None:
        """Leave the item to the thread that runs it."""
        self._tell()
        with self._lock:
            if self._hand is not hand or self.lane.over:
                return
            self._hand, self.left = None, self.lane.reserve()
        took = time.perf_counter() - hand.began
        recalled = self.earlier.recalled
        note = "others were begun beside it"
        self.evidence = (
            recalled.evidence
            if recalled is not None and recalled.evidence.cpu_share < 0.3
            else Evidence(self._ran + 1, took, took, took, 0.0, 0.0, unfinished=True, notes=(note,))
        )
        self._leave()

    def _next(self, probe: Probe) -> Any:
        """The source's next item, if there is one."""
        began = time.perf_counter()
        self._in_source = True
        try:
            item = self._unknown()
        except StopIteration:
            self.ended = True
            return _NOTHING
        except BaseException as error:
            self._tell()
            source_broke(error, self.lane)
            self.ended = True
            return _NOTHING
        finally:
            self._in_source = False
        if not self.lane.figures.fed:  # what a stage before takes at its start says nothing about its pace
            probe.came(time.perf_counter() - began)
        return item

    def _unknown(self) -> Any:
        """The source's next item of which nothing is known yet."""
        item, admission = next(self.source), self.lane.admission
        while admission is not None:
            try:
                known, value = admission.look(item)
            except BaseException as error:  # the journal's, not the source's
                self.lane.broken(error, "")
                return _NOTHING
            if not known:
                break
            self._tell()
            self.lane.settle(value)
            if not self.lane.may_read():
                return _NOTHING
            item = next(self.source)
        return item

    def _call(self, probe: Probe, call: Callable[[Any], Any], item: Any) -> None:
        value, problem = None, None
        began = time.perf_counter()
        items, seconds, cpu = probe.so_far
        if self._clock is not None and (self._ran == 0 or (seconds > LONG * items > 0 and cpu < 0.1 * seconds)):
            queued = machine.queued_seconds(os.getpid(), self._thread) or 0.0
            self._hand = _Hand(began, time.clock_gettime(self._clock), queued)
        try:
            value = probe.call(call, item)
        except BaseException as error:
            problem = raised(error, 0.0)
        with self._lock:
            self._hand = None
        if self.left is not None:
            self.late = time.perf_counter() - began
            if type(value) is CoroutineType:
                try:
                    refuse_coroutine(value)
                except TypeError as error:
                    value, problem = None, raised(error, 0.0)
            self.lane.probed_late(self.left, item, value, problem)
            return
        if type(value) is CoroutineType and not self._ran and not isinstance(self.rules.model, tuple):
            value.close()  # not begun: as if it had not been called
            raise ReturnedCoroutine(item)
        self._ran += 1
        if self._ran <= LOOKED_AT:
            if self._ran <= 2 and self.travel is None:
                self.travel = why_not((item, value))
            self._seen.append((item, value))
        self._untold.append((item, value, problem))
        if problem is not None or self._ran == 1:  # the first failure may end the run
            self._tell()

    def _start(self) -> None:
        """Workers start in the background, while items run here."""
        self._starting = True
        default_pool().start(min(self.rules.workers or machine.cores(), machine.cores()))

    def _much_left(self, probe: Probe) -> bool:
        total = self.lane.figures.total
        return total is None or (total - self._ran) * self._each(probe) > MUCH

    def _each(self, probe: Probe) -> float:
        items, seconds, _ = probe.so_far
        return seconds / items if items else MUCH

    def _pickling(self) -> float | None:
        """Seconds to pickle and unpickle an item and its result, as far as they can be."""
        seen, self._seen = self._seen, []
        if self.travel is not None or not seen:
            return None
        heavy = size_of(seen[0]) > HEAVY
        try:
            if not heavy:
                together = min(cost([item for pair in seen for item in pair]) for _ in range(2))
                return max(0.0, together - min(cost([]) for _ in range(2))) / len(seen)  # a chunk has that once
            return min(cost(list(seen[0])) for _ in range(2))  # the first time, memory has to be found for it
        except Exception:
            return None


def may_leave(function: Any, rules: Rules) -> bool:
    """Whether worker processes are among what may be chosen."""
    allowed = not isinstance(rules.model, tuple) or any(name.startswith("processes") for name in rules.model)
    return allowed and not inside.get() and rules.pins(function).here is None and machine.cores() > 1
