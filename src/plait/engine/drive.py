"""`Drive`: one run from start to end. Chooses, opens the crew, feeds the lane, hands out results, ends everything.

    source ──feed──> Lane ──chunks──> seats of a Crew ──batches──> Lane ──segments──> Outlet ──take──> consumer
      ^                                                                                  │
      └────────────────────────── reads on while the outlet has room ───────────────────┘

A serial run has none of this: its items are run inline, by the consumer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextvars import copy_context
from typing import Any

from plait.engine import plan
from plait.engine.conductor import Conductor
from plait.engine.crews import Crews
from plait.engine.drift import Drift
from plait.engine.earlier import Earlier
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
from plait.events import Hub, RunFinished, RunStarted
from plait.fit.evidence import Evidence
from plait.placement import Placement

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
        self._context = copy_context()
        self.crews: Crews = Crews(
            function, rules, self.lane, self.outlet, self.ending, hub, self._context, self._need_loop
        )
        self._inline: Generator[Any, None, None] | None = None
        self._drift: Drift | None = None
        self.earlier: Earlier | None = None
        self.conductor: Conductor | None = None
        self._handed: tuple[float, int] | None = None  # when the consumer got results, and how many
        self._cancelled: list[BaseException] = []  # what an inline run looks at between two items

    # --- starting ---------------------------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin to read and to run, on `loop` where one is needed."""
        with self.ending.lock:
            if self.started or self.closed:
                return
            self.started = True
        self.loop = loop
        reaper().enter()
        self._begin()
        self._begin_drive()

    def _begin_drive(self, source: Iterator[Any] | None = None) -> None:
        run = (self._drive, source)
        thread = threading.Thread(target=self._context.copy().run, args=run, name="plait-drive", daemon=True)
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

    @property
    def _at_home(self) -> bool:
        """Whether an async function runs on the event loop of who called, whose clients it may use."""
        return self.is_async and self.loop is not None and self.ending.loop is None

    def _need_loop(self) -> asyncio.AbstractEventLoop:
        if self.loop is None:
            self.ending.loop = LoopThread()
            self.loop = self.ending.loop.loop
        return self.loop

    def _drive(self, source: Any = None) -> None:
        try:
            if source is not None:
                pass
            elif hasattr(self.items, "__aiter__"):
                source = Bridge(aiter(self.items), self._need_loop())
            else:
                source = iter(self.items)
            if self.asked is not None:
                self.crews.chose(self.asked, ("model= asks for it",))
                self._open(self.asked)
            elif self._choose(source):
                return
            self._feed(source)
        except BaseException as error:
            self.lane.broken(error, "")
        if self.closed:  # left while all this was being set up
            self.ending.too_late()

    def _feed(self, source: Any) -> None:
        if isinstance(source, Bridge):
            feeding = feed_async(source.source, self.lane, self.outlet)
            self.ending.feeding = asyncio.run_coroutine_threadsafe(feeding, source.loop)
        else:
            feed(source, self.lane, self.outlet)

    def _choose(self, source: Any) -> bool:
        """Measure, choose and open; true when nothing is left to feed here."""
        self.earlier = self.earlier or Earlier(self.function, self.rules)
        planning = plan.Planning(
            self.function, self.rules, self.lane, self.earlier, is_async=self.is_async, at_home=self._at_home
        )
        chosen = planning.choose(source, lambda: self._leave(planning, source))
        if chosen is not None:
            return self._act(chosen, source)
        assert planning.measuring is not None
        if self.conductor is not None:
            self.conductor.took(planning.measuring.late)
        return True

    def _leave(self, planning: plan.Planning, source: Any) -> None:
        """An item waits: go on without the thread that runs it."""

        def go_on() -> None:
            try:
                fed = self._act(planning.go_on(), source)
                if self.conductor is not None and planning.measuring is not None:
                    self.conductor.took(planning.measuring.late)  # if it has ended by now
                if not fed:
                    self._feed(source)
            except BaseException as error:
                self.lane.broken(error, "")
            if self.closed:
                self.ending.too_late()

        thread = threading.Thread(target=self._context.copy().run, args=(go_on,), name="plait-drive", daemon=True)
        self.ending.probing, self.ending.thread = self.ending.thread, thread
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread left
            self.ending.thread = self.ending.probing
            self.lane.broken(error, "")

    def _act(self, chosen: plan.Chosen, source: Any) -> bool:
        """Open what was chosen; true when nothing is left to feed."""
        self.crews.chose(chosen.placement, chosen.reasons)
        self.figures.evidence = chosen.evidence
        if chosen.inline and not chosen.ended and self._consumed_inline:
            self._go_inline(source, chosen.evidence)
            return True
        if chosen.on_trial:
            self._try(chosen.placement)
        if not (chosen.ended and self.lane.settled):
            self._open(chosen.placement, chosen)
        for item in chosen.unread:
            self.lane.offer(item)
        if chosen.ended and not self.lane.read_all:
            self.lane.end()
        return chosen.ended

    def _try(self, placement: Placement) -> None:
        """Begin with one item at a time in each worker, and let their CPU time say whether threads would help."""
        why = "timeout= is set, and only a process can be killed"

        def judged(verdict: Verdict) -> None:
            share = f"CPU share {verdict.share:.2f}"
            if verdict.waits:
                found, words = placement, "items wait"
            else:
                found, words = Placement(placement.place, placement.style, placement.workers, 1), "items compute"
            self.crews.chose(found, (why, f"{share}: {words}"))
            if self.conductor is not None:
                self.conductor.began(found)

        self.lane.trial, self.lane.line.limit, self.lane.on_verdict = Trial(), 1, judged

    def _more_seats(self, count: int) -> None:
        self.crews.more(count)

    def _open(self, placement: Placement, chosen: plan.Chosen | None = None) -> None:
        """Open the crew of `placement`, and let a conductor adapt it as far as `model=` leaves that open."""
        if plan.adapts(placement, self.rules):
            situation = chosen.situation if chosen is not None else None
            evidence = chosen.evidence if chosen is not None else None
            conductor = self.conductor = Conductor(self.crews, self.rules, situation, evidence)
            self.lane.conductor = conductor
            self.crews.on_seated = lambda: conductor.began(placement)
        self.crews.open(placement, bridge=chosen is not None and chosen.bridge)

    # --- consuming --------------------------------------------------------------------------------------------------

    _consumed_inline = False

    def _go_inline(self, source: Iterator[Any], evidence: Evidence | None) -> None:
        """Let the consumer run the rest itself, until items turn out to take longer than was measured."""
        pairs = enumerate(source, self.figures.read)
        self._inline = self._run_inline(pairs)
        if evidence is not None:
            self._drift = Drift(self._inline, pairs, evidence, self._cancelled)
        self.outlet.finish()

    def _resume(self) -> None:
        """Items have changed while the consumer ran them: measure again, and go on with what fits now."""
        drift = self._drift
        assert drift is not None
        self._inline = self._drift = None
        drift.forget()
        with self.ending.lock:
            left = self.closed or self.lane.over
        if self._cancelled:
            raise self._cancelled[0]
        if left:
            raise RunCancelled("it was left before its end")
        self.lane.resume()
        self._begin_drive(drift.rest())

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
        self.crews.chose(self.asked, ("model= asks for it",))
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
            while True:
                while (results := self._take()) is not None:
                    yield results
                if self._inline is None:
                    break
                with self._drift or contextlib.nullcontext():
                    yield self._inline
                if self._drift is None or not self._drift.found:
                    break
                self._resume()
        except GeneratorExit:  # left before its end, perhaps by the garbage collector, in any thread
            reaper().end(self.close)
            raise
        except BaseException:
            self.close()
            raise
        self.close()

    def _take(self) -> list[Any] | None:
        figures, began = self.figures, time.perf_counter()
        if self._handed:
            figures.consuming += began - self._handed[0]
            figures.consumed += self._handed[1]
            self._handed = None
        results = None
        try:
            results = self.outlet.take()
            return results
        finally:
            now = time.perf_counter()
            figures.waited += now - began
            self._handed = (now, len(results)) if results else None

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
        with self.ending.lock:
            if self.closed or self._pid != os.getpid():
                return False
            self.closed = self.ending.closed = True
        if not self.lane.over and self._inline is None and (self.ending.thread is not None or not self.started):
            self.ending.cancelled = True
            self.lane.stop(RunCancelled("it was left before its end"))
        if self._inline is not None and not getattr(self._inline, "gi_running", False):
            self._inline.close()  # its resources are closed now, not when it is collected
        return True

    def _ended(self) -> None:
        figures = self.figures
        figures.end()
        if self.earlier is not None and not self.ending.cancelled and figures.finished:
            self.earlier.keep(self.conductor.seen if self.conductor else figures.evidence, figures)
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
