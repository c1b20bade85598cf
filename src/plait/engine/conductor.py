"""`Conductor`: adapts a lane while it runs, by what its results tell: how wide it is, and where it is placed.

    results ──heard──> Width ──────────> Crews.resize     at any result, decided under the lane's lock
            └─sums──> Stretch ──review──> Crews.move      some times a second, from the process's ticker

It only carries out what `fit.width` and `fit.review` decide, and keeps the time.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from plait import machine
from plait.engine.crews import Crews
from plait.engine.rules import Rules
from plait.fit.canary import Canary
from plait.fit.choose import Situation, placed
from plait.fit.evidence import Evidence, gil_held
from plait.fit.review import Move, Stretch, changed, renewed, review
from plait.fit.width import Width
from plait.placement import Placement
from plait.sync.ticker import ticker

__all__ = ["Conductor"]

#: Seconds between two looks; a stretch that is worth a first one; the longest time between two.
LOOK, FIRST, RARELY = 0.05, 0.25, 20.0
#: Items in progress at most: threads (each has a stack, and the system a limit), slots of a loop.
MOST_THREADS, MOST_SLOTS = 512, 8000
#: Cores that one process keeps busy from which on its GIL, or its loop's thread, may be what holds it up.
SATURATED = 0.75
#: CPU share from which on items only compute.
COMPUTES = 0.9
#: Seconds to watch the GIL for.
WATCH = 0.05
#: Seconds of lag of an event loop above which it gets no more to do at once.
LAG = 0.1
#: Share of the descriptors that a process may have open.
DESCRIPTORS = 0.8


class Conductor:
    """Watches one lane.

    Parameters:
        situation: what besides the evidence decides, now; `None`: the placement is given, only its width is looked for.
        evidence: what was measured before; `None`: nothing.

    Concurrency: `heard` is called under the lane's lock; everything else happens in the ticker's thread, or in one that
    ends with its move.
    """

    def __init__(
        self, crews: Crews, rules: Rules, situation: Callable[[], Situation] | None, evidence: Evidence | None
    ) -> None:
        self.crews, self.rules, self.situation, self.evidence = crews, rules, situation, evidence
        self.lane, self.figures = crews.lane, crews.figures
        self.seen = evidence  # as it was found to be in the end
        self.width: Width | None = None
        self.known: dict[str, float] = {}  # items a second of the models that were tried
        if evidence is not None and evidence.seconds_mean > 0:
            self.known["serial"] = 1 / (evidence.seconds_mean + evidence.source)
        self._placement: Placement | None = None
        self._moving = False
        self._wait = FIRST
        self._reference: Stretch | None = None
        self._off: Callable[[], None] | None = None
        self._begin_stretch()

    # --- the stretch ------------------------------------------------------------------------------------------------

    def _begin_stretch(self) -> None:
        self._since = time.perf_counter()
        self._items = self._full = self._looks = 0
        self._busy = self._cpu = 0.0
        self._warm = 0
        self._queued = self._queues()

    def began(self, placement: Placement) -> None:
        """The lane runs under `placement`."""
        self._placement = placement
        self._begin_stretch()
        # The first results of every slot are not the rule: modules are loaded, and slots are still being filled.
        self._warm = (placement.workers or 1) * (placement.width or 1)
        self.width = self._a_width(placement)
        if self._off is None:
            self._off = ticker().every(LOOK, self._look)
            self.crews.ending.offs.append(self._off)

    def _a_width(self, placement: Placement) -> Width | None:
        """What adapts the width; `None` where it is given, or there is nothing to adapt."""
        if placement.style == "serial" or (isinstance(self.rules.model, Placement) and self.rules.model.width):
            return None
        if self.evidence is not None and self.evidence.cpu_share >= COMPUTES:
            return None  # as many as there are cores: that is known
        workers = placement.workers or 1
        most = (MOST_SLOTS if placement.style == "loop" else MOST_THREADS) * workers
        if self.rules.width is not None:
            most = min(most, self.rules.width * workers)
        if self.rules.buffer is not None:
            most = min(most, self.rules.buffer)
        known = self.evidence
        alone = known.seconds_mean if known is not None else None
        usual = known.raised / known.items if known is not None and known.items else 0.0
        # Items that compute as well need at least what keeps the cores busy: that much is known.
        least = workers * (placement.width or 1) if known is not None and known.cpu_share >= 0.3 else 1
        return Width((placement.width or 1) * workers, most, alone, usual, time.perf_counter(), least)

    def heard(self, crew: object, items: int, failed: int, seconds: float, cpu: float, busy: bool) -> int | None:
        """Results came; returns the width that each seat should have from now on, if that has changed."""
        if crew is not self.crews.ending.crew:
            return None
        if self._warm > 0:
            self._warm -= items
            if self._warm <= 0:
                self._begin_stretch()
        self._items += items
        self._busy += seconds
        self._cpu += cpu
        width = self.width
        if width is None or not width.finished(time.perf_counter(), items, failed, seconds, busy=busy):
            return None
        return self._each(width)

    def _each(self, width: Width) -> int:
        """The width of one seat, of all of them together."""
        placement = self._placement
        assert placement is not None
        each = max(1, -(-width.width // (placement.workers or 1)))
        if each != placement.width:
            self._placement = replace(placement, width=each)
            self.figures.resized(self._placement, width.why)
        return each

    # --- looking ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self.lane.over or self._placement is None or self._moving:
            return
        self._looks += 1
        self._full += bool(self.lane.line)
        now = time.perf_counter()
        if now - self._since < self._wait or self._items < 3 or self._warm > 0:
            return
        stretch, full = self._stretch(now), self._full >= 0.7 * self._looks
        self._veto(stretch)
        if not full:  # what a starved or blocked lane does says nothing about its placement
            self._begin_stretch()
            return
        if self._reference is not None and self._reference.model == stretch.model and changed(self._reference, stretch):
            self.known.clear()
            self._wait, self._reference = FIRST, stretch
        self._reference = self._reference if self._reference and self._reference.model == stretch.model else stretch
        growing = self.width is not None and not self.width.settled and stretch.cpu < SATURATED * stretch.seconds
        if self.situation is not None and not growing:
            self._moving = True
            threading.Thread(target=self._reconsider, args=(stretch,), name="plait-review", daemon=True).start()
        else:
            self._begin_stretch()

    def _stretch(self, now: float) -> Stretch:
        placement = self._placement
        assert placement is not None
        # What their threads waited for a CPU is neither work nor waiting.
        busy = max(self._cpu, self._busy - max(0.0, self._queues() - self._queued))
        workers = (placement.workers or 1) * (placement.width or 1)
        return Stretch(placement.model, now - self._since, self._items, busy, self._cpu, None, workers)

    def _queues(self) -> float:
        """Seconds that the threads which run items have waited for a CPU so far."""
        return sum(seat.queued() for seat in list(self.lane.posts))

    def _veto(self, stretch: Stretch) -> None:
        """Bounds of the machine that goodput does not show until it is too late."""
        width = self.width
        if width is None:
            return
        most, why = _by_descriptors(width.width)
        if self.rules.memory is not None and self._placement is not None and self._placement.place == "here":
            taken = machine.resident_bytes(os.getpid()) or 0
            if taken > 0.9 * self.rules.memory:
                most, why = min(most, int(width.width * 0.8)), "memory= is nearly used up"
        if most < width.width and width.limit(most, why, time.perf_counter()):
            self.crews.resize(self._each(width))

    # --- moving -----------------------------------------------------------------------------------------------------

    def _reconsider(self, stretch: Stretch) -> None:
        try:
            computes = self.evidence is not None and self.evidence.cpu_share > 0.5
            if stretch.model == "threads" and (computes or stretch.cpu > SATURATED * stretch.seconds):
                stretch = replace(stretch, gil_held=_watch_gil())
            assert self.situation is not None
            situation = self.situation()
            self.seen = renewed(self.evidence, stretch)
            move = review(stretch, self.evidence, situation, self.known)
            if self.lane.over:
                return
            self.known[stretch.model] = stretch.rate
            if move is None:
                self._wait = min(2 * self._wait, RARELY)
                return
            self._move(move, situation)
        finally:
            self._begin_stretch()
            self._moving = False

    def _move(self, move: Move, situation: Situation) -> None:
        self.evidence = move.evidence
        placement = placed(move.model, move.evidence, situation)
        self._placement = None
        self.crews.on_seated = lambda: self.began(placement)
        self._wait, self._reference = min(2 * self._wait, RARELY), None
        self.crews.move(placement, move.reasons)


def _watch_gil() -> float | None:
    """The share of the time for which the GIL is held, by whomever."""
    with Canary() as canary:
        time.sleep(WATCH)
    return gil_held(canary.ticks)


def _by_descriptors(width: int) -> tuple[int, str]:
    """How many items may be in progress before the process runs out of file descriptors."""
    try:
        import resource

        allowed = DESCRIPTORS * resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        taken = 0
        with contextlib.suppress(OSError):
            taken = len(os.listdir("/proc/self/fd"))
    except ImportError:
        return width, ""
    if taken <= allowed:
        return width, ""
    return max(1, int(width * allowed / taken * 0.9)), "the process would run out of file descriptors"
