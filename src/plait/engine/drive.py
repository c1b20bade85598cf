"""`Drive`: one run from start to end. Chooses, opens the crew, feeds the lane, hands out results, ends everything.

    source ──feed──> Lane ──chunks──> seats of a Crew ──batches──> Lane ──segments──> Outlet ──take──> consumer
      ^                                                                                  │
      └────────────────────────── reads on while the outlet has room ───────────────────┘

A serial run has none of this: its items are run inline, by the consumer.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextvars import copy_context
from typing import Any

from plait import machine
from plait.engine import plan
from plait.engine.ending import Ending
from plait.engine.figures import Figures
from plait.engine.inline import run_inline
from plait.engine.loops import LoopThread
from plait.engine.mishaps import GuardedLane
from plait.engine.outlet import Outlet
from plait.engine.reaper import reaper
from plait.engine.rules import Rules
from plait.engine.source import Bridge, feed, feed_async, length
from plait.engine.trial import Trial, Verdict
from plait.errors import RunCancelled
from plait.events import Hub, PlacementChosen, RunFinished, RunStarted
from plait.placement import Placement
from plait.places.crew import Work, places
from plait.policy.overdue import tick_for
from plait.sync.ticker import ticker

__all__ = ["Drive"]

_names = itertools.count(1)

#: Items that a probe may have run before the consumer has taken any.
PROBED = 4096


class Drive:
    """Runs `function` over `items` by `rules`, telling `hub`."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        items: Any,
        rules: Rules,
        hub: Hub,
        *,
        is_async: bool,
    ) -> None:
        self.function, self.items, self.rules, self.hub, self.is_async = function, items, rules, hub, is_async
        self.name = f"run-{next(_names)}"
        self.figures = Figures(rules.name, total=length(items))
        self.asked = plan.asked_for(rules, is_async)
        self.outlet = Outlet(rules.ordered, rules.buffer or PROBED)
        self.lane = GuardedLane(rules, self.outlet, self.figures, hub, self._more_seats)
        self.ending = Ending(self.lane)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.started = False
        self.closed = False
        self._pid = os.getpid()
        self._consumed = False
        self._lock = threading.Lock()
        self._context = copy_context()
        self._inline: Generator[Any, None, None] | None = None
        self._cancelled: list[BaseException] = []  # what an inline run looks at between two items

    # --- starting ---------------------------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin to read and to run, on `loop` where one is needed."""
        with self._lock:
            if self.started or self.closed:
                return
            self.started = True
        self.loop = loop
        reaper().enter()
        self._begin()
        thread = threading.Thread(target=self._context.run, args=(self._drive,), name="plait-drive", daemon=True)
        self.ending.thread = thread
        thread.start()

    def _begin(self) -> None:
        self.figures.start()
        if self.hub.wanted:
            self.hub.emit(RunStarted(run=self.name, total=self.figures.total))

    @property
    def on_own_loop(self) -> bool:
        """Whether the items run on the event loop of the thread that asks."""
        try:
            return self.loop is not None and asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    def _need_loop(self) -> asyncio.AbstractEventLoop:
        if self.loop is None:
            self.ending.loop = LoopThread()
            self.loop = self.ending.loop.loop
        return self.loop

    def _drive(self) -> None:
        try:
            source: Any
            if hasattr(self.items, "__aiter__"):
                source = Bridge(aiter(self.items), self._need_loop())
            else:
                source = iter(self.items)
            if self.asked is not None:
                self._chose(self.asked, ("model= asks for it",))
                self._open(self.asked)
            elif self._choose(source):
                return
            if isinstance(source, Bridge):
                feeding = feed_async(source.source, self.lane, self.outlet)
                self.ending.feeding = asyncio.run_coroutine_threadsafe(feeding, source.loop)
            else:
                feed(source, self.lane, self.outlet)
        except BaseException as error:
            self.lane.broken(error, "")
        if self.closed:  # left while all this was being set up
            self.ending.too_late()

    def _choose(self, source: Any) -> bool:
        """Measure, choose and open; true when nothing is left to feed: the source ended, or the run goes on inline."""
        chosen = plan.choose_for(self.function, source, self.rules, self.lane, is_async=self.is_async)
        self._chose(chosen.placement, chosen.reasons)
        if chosen.inline and not chosen.ended and self._consumed_inline:
            self._inline = self._run_inline(source)
            self.outlet.finish()
            return True
        if chosen.on_trial:
            self._try(chosen.placement)
        if not (chosen.ended and self.lane.settled):
            self._open(chosen.placement)
        for item in chosen.unread:
            self.lane.offer(item)
        if chosen.ended and not self.lane.read_all:
            self.lane.end()
        return chosen.ended

    def _try(self, placement: Placement) -> None:
        """Begin with one item at a time in each worker, and let their CPU time say whether threads would help."""
        why = "timeout= is set, and only a process can be killed"

        def found(verdict: Verdict) -> None:
            share = f"CPU share {verdict.share:.2f}"
            if verdict.waits:
                self._chose(placement, (why, f"{share}: items wait"))
            else:
                narrow = Placement(placement.place, placement.style, placement.workers, 1)
                self._chose(narrow, (why, f"{share}: items compute"))

        self.lane.trial, self.lane.line.limit, self.lane.on_verdict = Trial(), 1, found

    def _chose(self, placement: Placement, reasons: tuple[str, ...]) -> None:
        self.figures.chose(placement, reasons)
        if self.hub.wanted:
            stage, model = self.rules.name, placement.model
            at = placement
            self.hub.emit(
                PlacementChosen(stage=stage, model=model, workers=at.workers, width=at.width, reasons=tuple(reasons))
            )

    def _open(self, placement: Placement) -> None:
        seats = placement.workers or 1
        if self.rules.buffer is None:
            self.outlet.buffer = 2 * seats * (placement.width or 1) + 8
        self.lane.sizer.most = max(1, self.outlet.buffer // 8)
        loop = self._need_loop() if placement.place == "here" and placement.style == "loop" else None
        work = Work(
            self.function,
            self.rules.resources,
            self.rules.name,
            self._context.copy(),
            loop,
            self.rules.patience,
            self.rules.impatience,
            self.rules.memory,
        )
        crew = places.get(placement.place)(work, placement, self.lane)
        with self._lock:
            if self.closed:
                return
            self.ending.crew = crew
        if self.rules.patience is not None:
            patience = self.rules.patience
            self.ending.offs.append(ticker().every(tick_for(patience), lambda: self.lane.watch(patience)))
        if placement.place != "here":
            self.ending.offs.append(ticker().every(0.25, self._weigh))
        crew.open(seats)

    def _more_seats(self, count: int) -> None:
        crew = self.ending.crew
        if crew is not None and not self.lane.over:
            crew.open(count)

    def _weigh(self) -> None:
        posts = list(self.lane.posts)
        together = sum(machine.resident_bytes(seat.pid) or 0 for seat in posts)
        self.figures.peak_memory = max(self.figures.peak_memory, together)

    # --- consuming --------------------------------------------------------------------------------------------------

    _consumed_inline = False

    def results(self) -> Iterator[Any]:
        """Results for a consumer in a thread, one by one at the speed of C."""
        asked = self.asked
        here = not self.started and not hasattr(self.items, "__aiter__")
        if here and asked is not None and asked.place == "here" and asked.style == "serial":
            return self._serial()
        return itertools.chain.from_iterable(self._segments())

    def _serial(self) -> Iterator[Any]:
        assert self.asked is not None
        self.started = True
        self._begin()
        self._chose(self.asked, ("model= asks for it",))
        self._inline = self._run_inline(iter(self.items))
        return self._inline

    def _run_inline(self, source: Iterator[Any]) -> Generator[Any, None, None]:
        figures = self.figures
        figures.seats = 1
        return run_inline(
            self.function, source, figures.read, self.rules, figures, self.hub, self._cancelled, self.close
        )

    def _segments(self) -> Iterator[Any]:
        self._consumed = True
        if not self.started:
            self._consumed_inline = True
        self.start()
        try:
            while (results := self._take()) is not None:
                yield results
            if self._inline is not None:
                yield self._inline
        except GeneratorExit:  # left before its end, perhaps by the garbage collector, in any thread
            reaper().end(self.close)
            raise
        except BaseException:
            self.close()
            raise
        self.close()

    def _take(self) -> list[Any] | None:
        began = time.perf_counter()
        try:
            return self.outlet.take()
        finally:
            self.figures.waited += time.perf_counter() - began

    async def results_async(self) -> AsyncIterator[Any]:
        """Results for a consumer on an event loop."""
        self._consumed = True
        self.start(asyncio.get_running_loop())
        try:
            while (results := await self._take_async()) is not None:
                for result in results:
                    yield result
        finally:
            await self.close_async()

    async def _take_async(self) -> list[Any] | None:
        began = time.perf_counter()
        try:
            return await self.outlet.take_async()
        finally:
            self.figures.waited += time.perf_counter() - began

    # --- ending -----------------------------------------------------------------------------------------------------

    def cancel(self, why: str) -> None:
        """End the run: the consumer gets `RunCancelled`. From any thread; does not wait."""
        if self._pid != os.getpid():  # a child that was forked meanwhile: the run is its parent's
            return
        error = RunCancelled(why)
        self._cancelled.append(error)
        if not self.lane.over:
            self.ending.cancelled = True
            self.lane.stop(error)
        if self.ending.thread is not None and not self._consumed:
            reaper().end(self.close, wait=False)

    def drop(self) -> None:
        """End it, from a finalizer: nothing is waited for, no lock is taken here."""
        if self.started and not self.closed:
            reaper().end(self.close, wait=False)

    def close(self) -> None:
        """End everything that the run has started, within 2 s. Safe to call twice."""
        if self._closing():
            try:
                self.ending.close()
            finally:
                self._ended()

    async def close_async(self) -> None:
        """The same from the run's own event loop, which goes on meanwhile."""
        if self._closing():
            try:
                await self.ending.close_async()
            finally:
                self._ended()

    def _closing(self) -> bool:
        with self._lock:
            if self.closed or self._pid != os.getpid():
                return False
            self.closed = True
        if not self.lane.over and self._inline is None and (self.ending.thread is not None or not self.started):
            self.ending.cancelled = True
            self.lane.stop(RunCancelled("it was left before its end"))
        if self._inline is not None and not getattr(self._inline, "gi_running", False):
            self._inline.close()  # its resources are closed now, not when it is collected
        return True

    def _ended(self) -> None:
        figures = self.figures
        figures.end()
        if self.ending.thread is not None:
            reaper().leave()
        if self.hub.wanted and self.started:
            inline = self._inline is not None
            cancelled = self.ending.cancelled or (inline and not figures.outcome)
            failed = figures.outcome == "failed" or (not inline and self.outlet.failed)
            outcome = "cancelled" if cancelled else "failed" if failed else "done"
            done, failures = figures.finished, figures.failures
            self.hub.emit(
                RunFinished(run=self.name, outcome=outcome, finished=done, failures=failures, seconds=figures.wall)
            )
