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
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import replace
from typing import Any

from plait.engine import plan
from plait.engine.admission import Admission
from plait.engine.conductor import Conductor
from plait.engine.consuming import Consuming
from plait.engine.crews import Crews
from plait.engine.earlier import Earlier
from plait.engine.ending import Ending
from plait.engine.figures import Figures
from plait.engine.fuse import fused
from plait.engine.loops import LoopThread
from plait.engine.outlet import Outlet
from plait.engine.reaper import reaper
from plait.engine.revoking import RevocableLane
from plait.engine.rules import Rules
from plait.engine.source import Bridge, feed, feed_async, length
from plait.engine.trial import GLANCE, Trial, Verdict
from plait.errors import CannotTravel, RunCancelled
from plait.events import Hub, RunFinished, RunStarted
from plait.placement import Placement
from plait.sync.ticker import ticker

__all__ = ["Drive"]

_names = itertools.count(1)

#: Items that a probe may have run before the consumer has taken any.
PROBED = 4096


class Drive(Consuming):
    """Runs `function` over `items` by `rules`, telling `hub`.

    Parameters:
        fed: it is a stage of a flow whose items come from another; feeds: its results go to another.
        alone: it is the whole run, and tells of its start and end.
        outlet: where its results go; `None`: to a consumer.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        items: Any,
        rules: Rules,
        hub: Hub,
        *,
        is_async: bool,
        fed: bool = False,
        feeds: bool = False,
        alone: bool = True,
        outlet: Outlet | None = None,
    ) -> None:
        super().__init__()
        rules = replace(rules, seen={})
        self.function, self.items, self.rules, self.hub, self.is_async = function, items, rules, hub, is_async
        self.name = f"run-{next(_names)}" if alone else ""
        self.figures = Figures(rules.name, total=length(items), fed=fed, feeds=feeds)
        self.asked = plan.asked_for(rules, is_async)
        self.outlet = outlet or Outlet(rules.ordered, rules.buffer or max(PROBED, rules.least_buffer))
        self.lane = RevocableLane(rules, self.outlet, self.figures, hub, self._more_seats)
        self.ending = Ending(self.lane)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.started = False
        self.closed = False
        self._pid = os.getpid()
        self._context = copy_context()
        self.crews: Crews = Crews(
            function, rules, self.lane, self.outlet, self.ending, hub, self._context, self._need_loop
        )
        self.earlier: Earlier | None = None
        self.conductor: Conductor | None = None
        self.before: Drive | None = None  # the stage before, if this one may be fused with it
        self.root: Drive = self  # whose workers run it

    @property
    def all_figures(self) -> tuple[Figures, ...]:
        """Its figures, as those of the only stage."""
        return (self.figures,)

    # --- starting ---------------------------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin to read and to run, on `loop` where one is needed."""
        with self.ending.lock:
            if self.started or self.closed:
                return
            self.started = True
        self.loop = loop or self.loop
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
        if self.hub.wanted and self.name:
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
            joined = self.asked is not None and self._joined(self.asked)
            if source is not None:
                pass
            elif hasattr(self.items, "__aiter__"):
                source = Bridge(aiter(self.items), self._need_loop())
            else:
                source = iter(self.items)
            if joined:
                pass
            elif self.asked is not None:
                self.crews.chose(self.asked, (f"{self.rules.asked_by} asks for it",))
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
        if chosen.inline and not chosen.ended and self._consumed_inline and self._plain:
            self._go_inline(source, chosen.evidence)
            return True
        if chosen.on_trial:
            self._try(chosen.placement)
        if not (chosen.ended and self.lane.settled):
            self._open(chosen.placement, chosen)
            self._join(chosen.placement)
        if self.lane.admission is not None:
            self.lane.admission.forget()
        for item in chosen.unread:
            self.lane.offer(item)
        if chosen.ended and not self.lane.read_all:
            self.lane.end()
        return chosen.ended

    # --- fusing with the stage before -------------------------------------------------------------------------------

    def _joined(self, placement: Placement) -> bool:
        """Whether this stage runs in the workers of the one before, which has not begun, from the start."""
        before = self.before
        if before is None or before.started or before.asked != placement or placement.model != "processes":
            return False
        before.function = before.crews.function = fused(
            before.function, before.rules.name, self.function, self.rules.name
        )
        self._told_joined(before, placement)
        return True

    def _join(self, placement: Placement) -> None:
        """Have the workers of the stage before run this one, too, if both are in worker processes."""
        if self.before is not None and placement.model == "processes" and self.before.root.take_in(self):
            self._told_joined(self.before.root, placement)

    def _told_joined(self, root: Drive, placement: Placement) -> None:
        self.root = root
        if self.lane.admission is None:
            self.lane.admits(Admission(False))
        self.crews.chose(placement, (f"it runs together with {root.rules.name}, in the same workers",))

    def take_in(self, later: Drive) -> bool:
        """Run `later`'s function behind this one's from now on; false if that cannot be done now."""
        placement, crews = self.figures.placement, self.crews
        if placement is None or placement.model != "processes" or self.lane.over or self.closed:
            return False
        function = fused(self.function, self.rules.name, later.function, later.rules.name)
        reasons = (*self.figures.reasons, f"{later.rules.name} computes in worker processes, too: it runs here as well")
        if self.conductor is not None and not self.conductor.pause():
            return False
        self.function = crews.function = function
        self.earlier = None  # what is measured now is not this function's
        if self.conductor is not None:
            self.conductor.renew(placement, reasons)
        else:
            crews.move(placement, reasons)
        return True

    def _try(self, placement: Placement) -> None:
        """Begin with one item at a time in each worker, and let their CPU time say whether threads would help."""
        waits = self.rules.patience is not None
        why = "timeout= is set, and only a process can be killed" if waits else self.figures.reasons[-1]

        def judged(verdict: Verdict) -> None:
            share = f"CPU share {verdict.share:.2f}"
            if verdict.waits:
                found, words = placement, "items wait"
            else:
                found, words = Placement(placement.place, placement.style, placement.workers, 1), "items compute"
            self.crews.chose(found, (why, f"{share}: {words}"))
            if self.conductor is not None:
                self.conductor.began(found)

        trial = self.lane.trial = Trial()
        self.lane.line.limit, self.lane.on_verdict = 1, judged

        def glance() -> None:
            self.lane.glance()
            if self.lane.trial is trial and not self.lane.over:
                ticker().at(time.monotonic() + GLANCE, glance)

        ticker().at(time.monotonic() + GLANCE, glance)

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
        if chosen is not None and chosen.refused is not None and placement.place != "here":
            self.crews.on_refused = lambda error: self._elsewhere(chosen, error)
        self.crews.open(placement, bridge=chosen is not None and chosen.bridge)

    def _elsewhere(self, chosen: plan.Chosen, error: CannotTravel) -> tuple[Placement, tuple[str, ...]]:
        """Where the run goes that workers have refused."""
        assert chosen.refused is not None
        self.lane.trial = None
        choice = chosen.refused(error.why)
        conductor, placement = self.conductor, plan.with_defaults(choice.placement, self.rules)
        if conductor is not None:
            self.crews.on_seated = lambda: conductor.began(placement)
        return placement, choice.reasons

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

    def halt(self, error: BaseException) -> None:
        """Begin nothing more; who consumes it gets `error`. From any thread; does not wait."""
        self._cancelled.append(error)
        if not self.lane.over:
            self.ending.cancelled = True
            self.lane.stop(error)

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
            with contextlib.suppress(ValueError):  # it has begun to run after all
                self._inline.close()  # its resources are closed now, not when it is collected
        return True

    def _ended(self) -> None:
        figures = self.figures
        figures.end()
        if self.earlier is not None and not self.ending.cancelled and figures.finished:
            self.earlier.keep(self.conductor.seen if self.conductor else figures.evidence, figures)
        if self.ending.thread is not None:
            reaper().leave()
        if self.hub.wanted and self.started and self.name:
            inline = self._inline is not None
            cancelled = self.ending.cancelled or (inline and not figures.outcome)
            failed = figures.outcome == "failed" or (not inline and self.outlet.failed)
            outcome = "cancelled" if cancelled else "failed" if failed else "done"
            done, failures = figures.finished, figures.failures
            self.hub.emit(
                RunFinished(run=self.name, outcome=outcome, finished=done, failures=failures, seconds=figures.wall)
            )
