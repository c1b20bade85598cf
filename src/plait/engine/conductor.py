"""`Conductor`: adapts a lane while it runs, by what its results tell: how wide it is, and where it is placed.

    results ──heard──> Width ──────────> Crews.resize     at any result, decided under the lane's lock
            └─sums──> Stretch ──review──> Crews.move      some times a second, from the process's ticker

It only carries out what `fit.width` and `fit.review` decide, and keeps the time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from plait import machine
from plait.engine.crews import Crews
from plait.engine.rules import Rules
from plait.engine.vetoes import by_descriptors, watch_gil
from plait.fit.choose import Situation, placed
from plait.fit.evidence import Evidence
from plait.fit.review import Move, Stretch, changed, renewed, review
from plait.fit.slump import Slump, Sums
from plait.fit.width import Width
from plait.placement import Placement
from plait.sync.ticker import ticker

__all__ = ["Conductor"]

log = logging.getLogger("plait")

#: Seconds between two looks; a stretch that is worth a first one; the longest time between two.
LOOK, FIRST, RARELY = 0.05, 0.25, 20.0
#: Items in progress at most: threads (each has a stack, and the system a limit), slots of a loop.
MOST_THREADS, MOST_SLOTS = 512, 8000
#: Cores that one process keeps busy from which on its GIL, or its loop's thread, may be what holds it up.
SATURATED = 0.75
#: CPU share from which on items only compute.
COMPUTES = 0.9
#: Seconds of work that is left, below which nothing grows any more.
SOON = 0.16
#: Seconds of work that must be left for it to be worth trying whether less would do.
TRIALS = 5.0
#: Bytes by which an item makes this process grow, from which on memory bounds how many are in progress.
HEAVY = 1 << 20
#: Looks between two at what the machine has left.
VETOES = 5
#: Looks that the ticker may be late before those who bring results look themselves.
LATE = 3


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
        if evidence is not None and evidence.seconds_mean > 0 and not evidence.unfinished:
            self.known["serial"] = 1 / (evidence.seconds_mean + evidence.source)
        self._placement: Placement | None = None
        self._moving = self._moved = False
        self._rate = 0.0  # items a second of the stretch before
        self._least, self._warm, self._turn = 1, 0, 0
        self._looking, self._resizing = threading.Lock(), threading.Lock()
        self._looked = time.perf_counter()
        self._wait = FIRST
        self._reference: Stretch | None = None
        self._off: Callable[[], None] | None = None
        self._begin_stretch()

    # --- the stretch ------------------------------------------------------------------------------------------------

    def _begin_stretch(self) -> None:
        self._since = time.perf_counter()
        self._slump = Slump(Sums(self._since), self._rate)
        self._items = self._full = self._looks = 0
        self._busy = self._cpu = 0.0
        self._queued = self._queues()

    def began(self, placement: Placement) -> None:
        """The lane runs under `placement`."""
        self._placement = placement
        self._rate = 0.0
        self._begin_stretch()
        # The first results after a move are not the rule: modules are loaded, and slots are still being filled.
        self._warm = (placement.workers or 1) * (placement.width or 1) if self._moved else 0
        self.width = self._a_width(placement)
        if self._off is None:
            self._off = ticker().every(LOOK, self.look)
            self.crews.ending.add(self._off)

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
        if known is not None and known.growth > HEAVY:
            most = min(most, max(1, int(machine.memory_available() / 2 / known.growth)))
        alone = known.seconds_mean if known is not None and not known.unfinished else None
        usual = known.raised / known.items if known is not None and known.items else 0.0
        # Items that compute as well need at least what keeps the cores busy: that much is known.
        least = workers * (placement.width or 1) if known is not None and known.cpu_share >= 0.3 else 1
        self._least = least
        return Width((placement.width or 1) * workers, most, alone, usual, time.perf_counter(), least)

    def took(self, seconds: float) -> None:
        """The item that the run went on without, since it waited, has ended: so long does one take alone."""
        with self.lane.lock:
            if self.evidence is None or not self.evidence.unfinished or seconds <= 0:
                return
            self.evidence = replace(
                self.evidence,
                seconds=seconds,
                seconds_max=seconds,
                seconds_mean=seconds,
                cpu_share=min(1.0, self.evidence.cpu_share * self.evidence.seconds / seconds),
                unfinished=False,
            )
            self.known["serial"] = 1 / seconds
            if self.width is not None:
                self.width.alone = seconds

    def heard(self, crew: object, items: int, failed: int, seconds: float, cpu: float, busy: bool) -> bool:
        """Results came; returns whether each seat should have another width from now on."""
        if crew is not self.crews.ending.crew:
            return False
        if self._warm > 0:
            self._warm -= items
            if self._warm <= 0:
                self._begin_stretch()
        self._items += items
        self._busy += seconds
        self._cpu += cpu
        width = self.width
        if width is None:
            return False
        before, now = width.width, time.perf_counter()
        if not width.finished(now, items, failed, seconds, busy=busy):
            return False
        if width.width > before and self._nearly_over(width):
            width.limit(before, "what is left is soon over", now)
        if width.width == before:
            return False
        self._each(width)
        return True

    def resize(self) -> None:
        """Give the seats the width that is the latest, whoever comes first."""
        with self._resizing:
            placement = self._placement
            if placement is not None and placement.width is not None:
                self.crews.resize(placement.width)

    def _nearly_over(self, width: Width) -> bool:
        """Whether more in progress would save next to nothing, and only take away what might still be moved."""
        figures, best = self.figures, width.best
        if figures.total is None or best is None:
            return False
        left = figures.total - figures.finished - figures.failures
        return left < SOON * best.goodput

    def _each(self, width: Width) -> None:
        """Remember the width of one seat, of that of all of them together."""
        placement = self._placement
        assert placement is not None
        each = max(1, -(-width.width // (placement.workers or 1)))
        if each != placement.width:
            self._placement = replace(placement, width=each)
            self.figures.resized(self._placement, width.why)

    # --- looking ----------------------------------------------------------------------------------------------------

    def look(self, *, late: bool = False) -> None:
        """See how it goes, and start a review when it is time for one.

        Parameters:
            late: only if the ticker has not for long: where many threads fight for the GIL, it does not get its turn.
        """
        if late and time.perf_counter() - self._looked < LATE * LOOK:
            return
        if self._looking.acquire(blocking=False):
            try:
                self._look(time.perf_counter())
            finally:
                self._looking.release()

    def _look(self, now: float) -> None:
        if self.lane.over or self._placement is None or self._moving:
            self._looked = now
            return
        self._looks += 1
        self._full += bool(self.lane.line)
        stuck = self._is_stuck(now)
        self._turn += 1
        if self._turn % VETOES == 0:
            self._veto()
        if not stuck and (now - self._since < self._wait or self._items < 3 or self._warm > 0):
            return
        if self._items < 3:
            return
        self._spare()
        stretch, full = self._stretch(now), self._full >= 0.7 * self._looks
        self._rate = stretch.rate
        if not full:  # what a starved or blocked lane does says nothing about its placement
            self._begin_stretch()
            return
        reference = self._reference
        if reference is not None and reference.model == stretch.model and changed(reference, stretch):
            self.known.clear()
            self._wait, reference = FIRST, None
        if reference is None or reference.model != stretch.model:
            self._reference = stretch
        growing = self.width is not None and not self.width.settled and stretch.cores < SATURATED
        if self.situation is not None and (stuck or not growing):
            self._moving = True
            thread = threading.Thread(target=self._reconsider, args=(stretch,), name="plait-review", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no thread left
                self._moving = False
            else:
                self.crews.ending.reviewing = thread
        else:
            self._begin_stretch()

    def _is_stuck(self, now: float) -> bool:
        """Whether items have just begun to end far more slowly here: then it is time for a review, and in a hurry."""
        self._looked = now
        mark = self._slump.look(Sums(now, self._items, self._busy, self._cpu))
        if mark is None or self._placement is None or self._placement.place != "here" or not self.lane.line:
            return False
        self._since, items, busy, cpu = mark  # only what came since counts
        self._items, self._busy, self._cpu = self._items - items, self._busy - busy, self._cpu - cpu
        return self._items >= 3

    def _stretch(self, now: float) -> Stretch:
        placement = self._placement
        assert placement is not None
        # What their threads waited for a CPU is neither work nor waiting.
        queued = max(0.0, self._queues() - self._queued)
        busy = max(self._cpu, self._busy - queued)
        crowded = queued / self._busy if self._busy > 0 else 0.0
        workers = (placement.workers or 1) * (placement.width or 1)
        return Stretch(placement.model, now - self._since, self._items, busy, self._cpu, None, workers, crowded)

    def _queues(self) -> float:
        """Seconds that the threads which run items have waited for a CPU so far."""
        return sum(seat.queued() for seat in list(self.lane.posts))

    def _spare(self) -> None:
        """Towards the end, trying whether less would do costs more than it could save."""
        width, total = self.width, self.figures.total
        if width is None or total is None or not width.settled:
            return
        left = total - self.figures.finished - self.figures.failures
        with self.lane.lock:
            goodput = width.best.goodput if width.best is not None else 0.0
            width.least = width.width if left < TRIALS * goodput else self._least

    def _veto(self) -> None:
        """Bounds of the machine that goodput does not show until it is too late."""
        with self.lane.lock:
            width, placement = self.width, self._placement
            if width is None or placement is None:
                return
            most, why = by_descriptors(width.width)
            if self.rules.memory is not None and placement.place == "here":
                taken = machine.resident_bytes(os.getpid()) or 0
                if taken > 0.9 * self.rules.memory:
                    most, why = min(most, int(width.width * 0.8)), "memory= is nearly used up"
            if most >= width.width or not width.limit(most, why, time.perf_counter()):
                return
            self._each(width)
        self.resize()

    # --- moving -----------------------------------------------------------------------------------------------------

    def _reconsider(self, stretch: Stretch) -> None:
        crew = self.crews.ending.crew if stretch.model == "threads" else None
        if crew is not None:  # else many threads that compute would leave nobody else the GIL, least of all this one
            self.lane.hold(crew, held=True)
        try:
            computes = self.evidence is not None and self.evidence.cpu_share > 0.5
            if stretch.model == "threads" and (computes or stretch.cpu > SATURATED * stretch.seconds):
                stretch = replace(stretch, gil_held=watch_gil())
            assert self.situation is not None
            situation = self.situation()
            if self.figures.crashes:  # what kills workers must not get near the caller's process
                situation = replace(situation, isolate=True)
            if not (stretch.gil_held or 0.0) > 0.5:  # what many threads reached only because they could not compute
                situation = replace(situation, reached=stretch.workers)
            self.seen = renewed(self.evidence, stretch)
            move = review(stretch, self.evidence, situation, self.known)
            self.known[stretch.model] = stretch.rate
            if move is None:
                self._wait = min(2 * max(self._wait, FIRST), RARELY)
                return
            if not self.lane.over:
                self._move(move, situation)
        except Exception:
            log.exception("A review of %s failed; the run goes on as it is.", self.rules.name)
        finally:
            if crew is not None and self._placement is not None:  # else it is held until the new seats are there
                self.lane.hold(crew, held=False)
            self._begin_stretch()
            self._moving = False

    def _move(self, move: Move, situation: Situation) -> None:
        self.evidence = move.evidence
        placement, before = placed(move.model, move.evidence, situation), self._placement
        with self.lane.lock:
            self._placement = self.width = None
        self.crews.on_seated = lambda: self.began(placement)
        self.crews.on_failed = lambda: self._stay(move.model, before)
        self._moved = True
        self._wait, self._reference = min(2 * max(self._wait, FIRST), RARELY), None
        self.crews.move(placement, move.reasons)

    def pause(self) -> bool:
        """Decide nothing until `renew`; false if a move is on its way."""
        with self._looking:
            if self._moving or self._placement is None:
                return False
            self._moving = True
            return True

    def renew(self, placement: Placement, reasons: Sequence[str]) -> None:
        """The function has become another one: open a crew for that, and forget what was known of it."""
        self.evidence, self.seen, self._reference = None, None, None
        self.known.clear()
        with self.lane.lock:
            self._placement = self.width = None
        self.crews.on_seated = lambda: self.began(placement)
        self.crews.on_failed = lambda: self.began(placement)
        self._moved = True
        self.crews.move(placement, reasons)
        self._moving = False

    def _stay(self, model: str, before: Placement | None) -> None:
        """A move came to nothing: go on as before, and do not try that again."""
        self.known[model] = 0.0
        if before is not None:
            self.began(before)
        crew = self.crews.ending.crew
        if crew is not None:
            self.lane.hold(crew, held=False)
