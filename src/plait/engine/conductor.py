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
from typing import NamedTuple

from plait import machine
from plait.engine.crews import Crews
from plait.engine.limits import cpu_of_an_item, parts_of, width_of
from plait.engine.ramp import TICK, Ramp
from plait.engine.rules import Rules
from plait.engine.vetoes import by_descriptors, watch_gil
from plait.fit.choose import Situation, placed
from plait.fit.evidence import Evidence
from plait.fit.review import Move, Stretch, changed, renewed, review
from plait.fit.slump import Slump, Sums
from plait.fit.turn import Turn
from plait.fit.width import Width
from plait.placement import Placement
from plait.sync.ticker import ticker

__all__ = ["Conductor"]

log = logging.getLogger("plait")

#: Seconds between two looks; a stretch that is worth a first one; the longest time between two.
LOOK, FIRST, RARELY = 0.05, 0.25, 20.0
#: The same for an event loop, of whose items nothing was measured before.
FIRST_OF_LOOP = 0.1
#: Cores that one process keeps busy from which on its GIL, or its loop's thread, may be what holds it up.
SATURATED = 0.75
#: Cores that only items can keep busy which let the GIL go; the share of the time that they hold it then.
MORE_THAN_ONE, FREED = 1.25, 0.1
#: Models of which it is seen how long their threads wait for a CPU.
QUEUES_SEEN = ("serial", "processes", "async")
#: Seconds for which results are gathered.
GATHER = 0.002
#: Looks between two at what the machine has left.
VETOES = 5
#: Looks that the ticker may be late before those who bring results look themselves.
LATE = 3


class Results(NamedTuple):
    """Items that ended, their seconds in progress and of CPU; whether all slots had something to do."""

    items: int = 0
    busy: float = 0.0
    cpu: float = 0.0
    full: bool = True


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
        self._warm = self._vetoes = 0
        self._parts = 1.0  # seconds that the items can compute in one
        self._spent = self._waited = 0.0  # CPU seconds of all items so far, and seconds that they waited for a CPU
        self._looking, self._resizing = threading.Lock(), threading.Lock()
        self._looked = time.perf_counter()
        self._wait = FIRST
        self._reference: Stretch | None = None
        self._off: Callable[[], None] | None = None
        self._turn, self._untold, self._told = Turn(self._looked), Results(), 0.0
        self._begin_stretch()

    # --- the stretch ------------------------------------------------------------------------------------------------

    def _begin_stretch(self) -> None:
        self._since = time.perf_counter()
        self._slump = Slump(Sums(self._since), self._rate)
        self._items = self._full = self._looks = 0
        self._busy = self._cpu = 0.0
        self._turned = False
        self._queued = self._queues()

    def began(self, placement: Placement) -> None:
        """The lane runs under `placement`."""
        self._placement = placement
        self._rate, self._untold = 0.0, Results()
        self._turn = Turn(self._since, cpu_of_an_item(self.evidence))
        self._begin_stretch()
        # The first results after a move are not the rule: modules are loaded, and slots are still being filled.
        self._warm = (placement.workers or 1) * (placement.width or 1) if self._moved else 0
        self._parts, self._spent, self._waited = parts_of(placement, self.evidence), 0.0, self._queued
        self.width = None
        if self._warm <= 0:
            self.width = width_of(placement, self.rules, self.evidence, self._since, self._computed())
        if placement.style == "loop" and placement.place == "here" and not self._moved:
            self._wait = FIRST_OF_LOOP  # nothing was measured before
        if self.width is not None and placement.place == "here" and not self._moved:
            self._begin_ramp(self.width)
        if self._off is None:
            self._off = ticker().every(LOOK, self.look)
            self.crews.ending.add(self._off)

    def _begin_ramp(self, width: Width) -> None:
        ramp = Ramp(width, threads=self._placement is not None and self._placement.style == "threads")

        def look() -> None:
            with self.lane.lock:
                if width is not self.width or self.lane.over:
                    ramp.over = True
                width.left = self._left()
                widened = ramp.widens()
                if widened:
                    self._each(width)
            if widened:
                self.resize()
            if ramp.over:
                off()

        off = ticker().every(TICK, look)
        self.crews.ending.add(off)

    def _left(self) -> int | None:
        """Items without an outcome, where known."""
        figures = self.figures
        return None if figures.total is None else figures.total - figures.finished - figures.failures

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
        # Thousands a second are told of some at a time: this happens under a lock for which their threads queue.
        before, now = self._untold, time.perf_counter()
        told = Results(before.items + items, before.busy + seconds, before.cpu + cpu, before.full and busy)
        if now - self._told < GATHER and not failed:
            self._untold = told
            return False
        self._told, self._untold = now, Results()
        return self._hears(now, told, failed)

    def _hears(self, now: float, told: Results, failed: int) -> bool:
        if self._warm > 0:
            self._warm -= told.items
            if self._warm <= 0 and self._placement is not None:
                self._begin_stretch()
                self.width = width_of(self._placement, self.rules, self.evidence, now, self._computed())
        self._items += told.items
        self._busy += told.busy
        self._cpu += told.cpu
        self._spent += told.cpu
        if self._placement is not None and self._placement.place == "here" and not self._turned:
            self._has_turned(now, told)
        width = self.width
        if width is None:
            return False
        width.left = self._left()
        computed = self._computed()
        if not width.finished(now, told.items, failed, told.busy, busy=told.full, computed=computed):
            return False
        self._each(width)
        return True

    def _computed(self) -> float:
        """Seconds that those who run the items have computed so far, or waited for a CPU, 1 a second being all."""
        placement = self._placement
        threads = placement is not None and placement.place == "here" and placement.style == "threads"
        return (time.process_time() if threads else self._spent + self._waited) / self._parts

    def _has_turned(self, now: float, told: Results) -> None:
        """Items that compute far more than those before are others: only what comes since then counts."""
        latest = self._turn.heard(now, told.items, told.busy, told.cpu)
        if latest is not None and self._warm <= 0:
            self._since, self._items, self._busy, self._cpu = latest
            self._turned = True

    def resize(self) -> None:
        """Give the seats the width that is the latest, whoever comes first."""
        with self._resizing:
            placement = self._placement
            if placement is not None and placement.width is not None:
                self.crews.resize(placement.width)

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
        if late and not self._turned and time.perf_counter() - self._looked < LATE * LOOK:
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
        self._waited = self._queues()
        self._full += bool(self.lane.line)
        stuck = self._is_stuck(now) or self._turned
        self._vetoes += 1
        if self._vetoes % VETOES == 0:
            self._veto()
        if not stuck and (now - self._since < self._wait or self._items < 3 or self._warm > 0):
            return
        if self._items < 3:
            return
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
        loaded = stretch.cpu + (stretch.crowded or 0.0) * self._busy >= SATURATED * stretch.seconds
        growing = self.width is not None and not self.width.settled and not loaded
        if self.situation is not None and (stuck or not growing):
            self._moving = True
            turned = self._turned
            if turned:  # many threads that compute would leave nobody else the GIL, least of all a review
                self._hold(held=True)
            thread = threading.Thread(target=self._reconsider, args=(stretch, turned), name="plait-review", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no thread left
                self._hold(held=False)
                self._moving = False
            else:
                self.crews.ending.reviewing = thread
        else:
            self._begin_stretch()

    def _is_stuck(self, now: float) -> bool:
        """Whether items that run one by one have just begun to end far more slowly: it is time for a review."""
        self._looked = now
        mark = self._slump.look(Sums(now, self._items, self._busy, self._cpu))
        if mark is None or self._placement is None or self._placement.model != "serial" or not self.lane.line:
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
        seen = bool(queued) or placement.model in QUEUES_SEEN
        crowded = queued / self._busy if seen and self._busy > 0 else None
        workers = (placement.workers or 1) * (placement.width or 1)
        return Stretch(placement.model, now - self._since, self._items, busy, self._cpu, None, workers, crowded)

    def _queues(self) -> float:
        """Seconds that the threads which run items have waited for a CPU so far."""
        crew = self.crews.ending.crew
        return sum(seat.queued() for seat in list(self.lane.posts) if seat.crew is crew)

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

    def _reconsider(self, stretch: Stretch, turned: bool) -> None:
        try:
            computes = self.evidence is not None and self.evidence.cpu_share > 0.5
            if turned:  # they are held, and the GIL is free: more than one core says that they let it go
                stretch = replace(stretch, gil_held=FREED if stretch.cores > MORE_THAN_ONE else None)
            elif stretch.model == "threads" and (computes or stretch.cpu > SATURATED * stretch.seconds):
                stretch = replace(stretch, gil_held=watch_gil())
            assert self.situation is not None
            situation = self.situation()
            if self.figures.crashes:  # what kills workers must not get near the caller's process
                situation = replace(situation, isolate=True)
            # What many threads reached only because they could not compute is nothing to go by.
            if not (turned or (stretch.gil_held or 0.0) > 0.5):
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
            if turned and self._placement is not None:  # else it is held until the new seats are there
                self._hold(held=False)
            if turned or not self._turned:  # what has turned meanwhile is for the next look
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
        self._hold(held=False)

    def _hold(self, *, held: bool) -> None:
        """Give nothing more to those who are there for the time being, or go on."""
        crew = self.crews.ending.crew
        if crew is not None:
            self.lane.hold(crew, held=held)
