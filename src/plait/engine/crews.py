"""`Crews`: opens the crew of a lane's placement, and moves the lane from one to another while it runs.

A move loses and repeats nothing: the new crew's seats join the lane, and those of the old get nothing more and leave
once they have nothing in hand. Where workers have to be started first, one thread of this process bridges the time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

from plait import machine
from plait.engine.ending import Ending
from plait.engine.figures import Figures
from plait.engine.hedging import LOOK
from plait.engine.keeping import Keeping, Opening
from plait.engine.mishaps import GuardedLane
from plait.engine.outlet import Outlet
from plait.engine.rules import Rules
from plait.errors import CannotTravel, PlaitError, WorkerLost
from plait.events import Hub, PlacementChosen
from plait.placement import Placement
from plait.places.crew import Crew, Seat, Work, places
from plait.places.processes.pool import default_pool
from plait.policy.chunks import TARGET
from plait.policy.overdue import tick_for
from plait.sync.ticker import ticker

__all__ = ["Crews"]

log = logging.getLogger("plait")

#: One thread here, while workers start.
BRIDGE = Placement("here", "serial", width=1)


class _Attempt:
    """Hears from a crew to which a lane would like to move: until its first seat is there, its troubles are its own."""

    def __init__(self, lane: GuardedLane, failed: Callable[[BaseException], None]) -> None:
        self._lane, self._tell, self._there, self._over = lane, failed, False, False
        self.arrived, self.unreadable, self.scrambled = lane.arrived, lane.unreadable, lane.scrambled

    def seated(self, seat: Seat) -> None:
        self._there = not self._over
        self._lane.seated(seat)

    def broken(self, error: BaseException, traceback: str) -> None:
        if self._there:
            self._lane.broken(error, traceback)
        else:
            self._failed(error)

    def lost(self, seat: Seat, words: list[int], status: str, stack: str, opened: bool) -> None:
        if self._there or opened:
            self._lane.lost(seat, words, status, stack, opened)
        else:
            self._failed(WorkerLost(seat.pid, status, 0, stack, ""))

    def _failed(self, error: BaseException) -> None:
        """Once: each of its workers may have the same trouble."""
        if not self._over:
            self._over = True
            self._tell(error)


class Crews:
    """The crews of one lane.

    Parameters:
        loop: gives the event loop for style `loop` in this process.
        context: the caller's contextvars.
    """

    def __init__(
        self,
        function: Callable[..., object],
        rules: Rules,
        lane: GuardedLane,
        outlet: Outlet,
        ending: Ending,
        hub: Hub,
        context: Context,
        loop: Callable[[], asyncio.AbstractEventLoop],
    ) -> None:
        self.function, self.rules, self.lane, self.outlet = function, rules, lane, outlet
        self.ending, self.hub, self.context, self.loop = ending, hub, context, loop
        self.figures: Figures = lane.figures
        self.on_seated: Callable[[], None] = lambda: None
        self.on_failed: Callable[[], None] = lambda: None
        #: Where to go, and why, when workers refuse the function; `None`: nowhere, the run fails.
        self.on_refused: Callable[[CannotTravel], tuple[Placement, Sequence[str]]] | None = None
        lane.on_kept = Keeping(lane, self._crew, self._keep, lambda: self.function).open
        self._ticking = self._weighing = False

    def chose(self, placement: Placement, reasons: Sequence[str]) -> None:
        """The stage runs under `placement` from now on: remember it, and tell observers."""
        self.figures.chose(placement, reasons)
        if self.hub.wanted:
            stage, model = self.rules.name, placement.model
            self.hub.emit(
                PlacementChosen(
                    stage=stage, model=model, workers=placement.workers, width=placement.width, reasons=tuple(reasons)
                )
            )

    def open(self, placement: Placement, *, bridge: bool = False) -> None:
        """Get the seats of `placement`; with `bridge`, run items here until the first worker is ready."""
        bridged = self._crew(BRIDGE) if bridge and not default_pool().warm else None
        opening = Opening(self.lane, lambda error: self._refused(error, bridged)) if self.on_refused else None
        crew = self._crew(placement, opening)
        if not self._enter(crew, bridged):
            return
        self._room_for(placement)
        self._tick(placement)
        self.lane.on_seated = lambda seat: self._seated(seat, bridged)
        if bridged is not None:
            bridged.open(1)
        crew.open(placement.workers or 1)

    def move(self, placement: Placement, reasons: Sequence[str]) -> None:
        """Run the rest under `placement`, or another function. Until its first seat is there, the old ones go on."""
        before, was = self.ending.crew, self.figures.placement
        attempt = _Attempt(self.lane, lambda error: self._failed(before, was, error))
        try:
            crew = self._crew(placement, attempt)
        except PlaitError as error:
            self._failed(before, was, error)
            return
        if not self._enter(crew, before):
            return
        self.chose(placement, reasons)
        self.lane.line.limit = None
        self._room_for(placement)
        self._tick(placement)
        self.lane.on_seated = lambda seat: self._seated(seat, before)
        crew.open(placement.workers or 1)

    def _failed(self, before: Crew | None, was: Placement | None, error: BaseException) -> None:
        """The new placement cannot be opened: stay where we were."""
        with self.ending.lock:
            if self.ending.closed or before is None:
                return
            crew, self.ending.crew = self.ending.crew, before
            if crew is not before and crew is not None:
                self.ending.left.remove(before)
                self.ending.left.append(crew)
        if crew is not before and crew is not None:
            self.lane.leave(crew)
        self.lane.on_seated = lambda seat: None
        log.debug("%s stays where it is: %s", self.rules.name, error)
        if was is not None and was is not self.figures.placement:
            self.chose(was, (f"it could not be moved: {type(error).__name__}: {error}",))
        self.on_failed()

    def _refused(self, error: CannotTravel, bridged: Crew | None) -> None:
        """No worker can load the function, and nothing of it was run there: go on elsewhere."""
        assert self.on_refused is not None
        log.debug("%s stays in this process: %s", self.rules.name, error)
        placement, reasons = self.on_refused(error)
        if bridged is not None:
            self.lane.leave(bridged)
        self.move(placement, reasons)

    def _keep(self, crew: Crew) -> bool:
        """Have `crew` ended with the run; false when that is over already."""
        with self.ending.lock:
            if not self.ending.closed:
                self.ending.left.append(crew)
            return not self.ending.closed

    def _enter(self, crew: Crew, left: Crew | None) -> bool:
        """`crew` is the one in use, `left` will be left; false when the run is over already."""
        with self.ending.lock:
            if self.ending.closed:
                return False
            if left is not None:
                self.ending.left.append(left)
            self.ending.crew = crew
            return True

    def _seated(self, seat: Seat, left: Crew | None) -> None:
        """The first seat of the crew in use is there: leave the other one."""
        if seat.crew is self.ending.crew:
            self.lane.on_seated = lambda seat: None
            if left is not None:
                self.lane.leave(left)
            self.on_seated()

    def _room_for(self, placement: Placement) -> None:
        if self.rules.buffer is None:
            wanted = max(self.rules.least_buffer, 2 * (placement.workers or 1) * (placement.width or 1) + 8)
            self.outlet.buffer = max(self.outlet.buffer, wanted) if self._ticking else wanted
        self.lane.sizer.most = max(1, self.outlet.buffer // 8)
        # Handing over to a thread costs little: few items together, since those in hand cannot be moved elsewhere.
        self.lane.sizer.target = TARGET if placement.place != "here" else TARGET / 8

    def _crew(self, placement: Placement, listener: Any = None) -> Crew:
        here = placement.place == "here"
        loop = self.loop() if here and placement.style == "loop" else None
        rules = self.rules
        work = Work(
            self.function,
            rules.resources,
            rules.name,
            self.context.copy(),
            loop,
            rules.patience,
            rules.impatience,
            rules.memory,
        )
        return places.get(placement.place)(work, placement, listener or self.lane)

    def _tick(self, placement: Placement) -> None:
        patience = self.rules.patience
        if patience is not None and not self._ticking:
            self.ending.add(ticker().every(tick_for(patience), lambda: self.lane.watch(patience)))
        if self.lane.hedging is not None and not self._ticking:
            self.ending.add(ticker().every(LOOK, self.lane.hedge))
        if placement.place != "here" and not self._weighing:
            self._weighing = True
            self.ending.add(ticker().every(0.25, self._weigh))
        self._ticking = True

    def _weigh(self) -> None:
        posts = list(self.lane.posts)
        together = sum(machine.resident_bytes(seat.pid) or 0 for seat in posts if seat.can_kill)
        self.figures.peak_memory = max(self.figures.peak_memory, together)

    def more(self, count: int) -> None:
        """Seats were lost: `count` others, please."""
        crew = self.ending.crew
        if crew is not None and not self.lane.over:
            crew.open(count)

    def resize(self, width: int) -> None:
        """Have `width` items in progress in each seat."""
        crew = self.ending.crew
        if crew is not None and not self.lane.over:
            crew.resize(width)
            self.lane.dispatch()
