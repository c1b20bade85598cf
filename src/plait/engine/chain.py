"""`Chain`: a flow while it runs. Stages in series, each of them a `Drive` that reads the results of the one before.

    source ──> Drive: fetch ──outlet──> Drive: parse ──outlet──> Drive: store ──outlet──> consumer

A stage reads in a thread of its own, and no further than its own consumer leaves room for: the slowest stage holds up
all before it, back to the source. A stage whose items are tiny is run by whoever reads it, so that a chain of such
stages costs no queue. What fails, fails all; what is left, leaves all. A source that raises ends as one that has no
more items, and the error comes last; sinks are completed when all results were taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any

from plait.engine.admission import Admission
from plait.engine.drive import Drive
from plait.engine.ending import in_thread, side_by_side
from plait.engine.figures import Figures
from plait.engine.fuse import may_fuse
from plait.engine.given import given
from plait.engine.link import Link, Stage, open_book, same
from plait.engine.reaper import reaper
from plait.engine.regroup import Regroup, Writing
from plait.engine.rules import Rules
from plait.engine.source import length, source_failed
from plait.errors import PlaitError, RunCancelled
from plait.events import Hub, RunFinished, RunStarted
from plait.failure import Failure
from plait.journal.journal import Journal

__all__ = ["Chain", "Stage"]

_names = itertools.count(1)


class Chain:
    """Runs `stages` over `items`; in the place of a `Drive` for a `Run`.

    Parameters:
        before: what the source goes through before the first stage.
        journal: remembers results; `None`: nothing does.
    """

    def __init__(
        self, items: Any, before: tuple[Regroup, ...], stages: Sequence[Stage], hub: Hub, journal: Journal | None = None
    ) -> None:
        self.items, self.hub = items, hub
        self.name = f"run-{next(_names)}"
        self._source = given(items)
        self.stages, self._journal = list(stages), journal
        if not stages or (before and hasattr(items, "__aiter__")):  # something has to read it
            self.stages.insert(0, Stage(same, Rules("items", "serial"), is_async=False, after=before))
            before = ()
        self.is_async = any(stage.is_async for stage in self.stages)
        self.links: list[Link] = []
        self.drives: list[Drive] = []
        self._build(before)
        self.rules, self.figures = self.drives[-1].rules, self.drives[-1].figures
        self.started = self.closed = False
        self._cancelled = self._consumed = False
        self._error: BaseException | None = None  # what the consumer got
        self._book: Any = None
        self._lock = threading.Lock()

    def _build(self, before: tuple[Regroup, ...]) -> None:
        passes, count = False, len(self.stages)
        link = Link(self._source, after=before, total=None if before else length(self.items))
        for at, stage in enumerate(self.stages):
            source = self._source if at == 0 and hasattr(self.items, "__aiter__") else link
            drive = Drive(
                stage.function,
                source,
                stage.rules,
                self.hub,
                is_async=stage.is_async,
                fed=at > 0,
                feeds=at < count - 1,
                alone=False,
            )
            drive.outlet.on_failed = lambda error, at=at: self._failed(at, error)  # type: ignore[misc]
            if passes:
                drive.lane.admits(Admission(passes))
            if at and self._journal is None and not self.stages[at - 1].spread and not self.stages[at - 1].after:
                previous = self.drives[-1]
                if may_fuse(previous.rules, stage.rules) and not (stage.is_async or previous.is_async):
                    drive.before = previous
            passes = passes or stage.rules.on_error == "return"
            self.links.append(link)
            self.drives.append(drive)
            alike = not stage.spread and not stage.after and stage.rules.on_error != "skip"
            link = Link(None, drive, stage, stage.after, link.total if alike else None)
        self.links.append(link)
        self._source.figures = self.drives[0].figures

    @property
    def all_figures(self) -> tuple[Figures, ...]:
        """The figures of every stage, in order."""
        return tuple(drive.figures for drive in self.drives[: len(self.stages)])

    # --- starting ---------------------------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin to read and to run, on `loop` where one is needed."""
        self._begin(loop)
        self.drives[-1].start()

    def _begin(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        with self._lock:
            if self.started or self.closed:
                return
            self.started = True
        reaper().enter()
        if self._journal is not None:
            try:
                self._book = open_book(self._journal, self.stages, self.drives)
            except BaseException:
                self.closed = True
                reaper().leave()
                raise
        for drive in self.drives:
            drive.loop = loop if drive.is_async or hasattr(drive.items, "__aiter__") else None
        self._began = time.perf_counter()
        if self.hub.wanted:
            self.hub.emit(RunStarted(run=self.name, total=self.links[-1].total))

    @property
    def on_own_loop(self) -> bool:
        """Whether items run on the event loop of the thread that asks."""
        return any(drive.on_own_loop for drive in self.drives)

    # --- consuming --------------------------------------------------------------------------------------------------

    def results(self) -> Iterator[Any]:
        """Results for a consumer in a thread."""
        return self._results()

    def _results(self) -> Iterator[Any]:
        self._begin()
        self._consumed = True
        try:
            yield from iter(self.links[-1])
            self._complete()
        except GeneratorExit:  # left before its end, perhaps by the garbage collector, in any thread
            self._cancelled = True
            if not self.closed:
                reaper().end(self.close)
            raise
        except BaseException as error:
            self._error = error
            self.close()
            raise
        self.close()

    async def results_async(self) -> AsyncIterator[Any]:
        """Results for a consumer on an event loop."""
        self._begin(asyncio.get_running_loop())
        self._consumed = True
        spread = self.stages[-1].spread
        if self.links[-1].after:  # what may wait is not for the event loop's thread
            last, spread = Rules("results", "serial", ordered=self.rules.ordered), False
            self.drives.append(Drive(same, self.links[-1], last, self.hub, is_async=False, fed=True, alone=False))
        try:
            async for result in self.drives[-1].results_async():
                if spread and type(result) is not Failure:
                    for one in result:
                        yield one
                else:
                    yield result
            await self._beside(self._complete)
        except GeneratorExit:
            self._cancelled = True
            raise
        except BaseException as error:
            self._error = error
            self._cancelled = self._cancelled or isinstance(error, asyncio.CancelledError)
            raise
        finally:
            await self.close_async()

    def _complete(self) -> None:
        """All results were taken: say what the source raised, if it did; else, complete the sinks."""
        if self._source.error is not None:
            raise source_failed(self._source.error, self.drives[0].figures.read)
        for sink in self._sinks:
            sink.complete()

    @property
    def _sinks(self) -> list[Writing]:
        return [sink for link in self.links for sink in link.sinks]

    async def _beside(self, call: Callable[[], None]) -> None:
        """Call what may wait for a disk: not in the event loop's thread then."""
        if self._book is not None or self._sinks:
            await in_thread(partial(copy_context().run, call))
        else:
            call()

    # --- ending -----------------------------------------------------------------------------------------------------

    def _failed(self, at: int, error: BaseException) -> None:
        """A stage has failed: the others end now, and the error is what the consumer gets."""
        if self._cancelled or self.closed:  # all of them are told why
            return
        for drive in (*self.drives[at + 1 :], *self.drives[:at]):  # those behind it first: they are to know why
            if not (drive.lane.over or drive.closed):
                drive.halt(error if drive in self.drives[at:] else RunCancelled("a later stage has failed"))

    def cancel(self, why: str) -> None:
        """End the run: the consumer gets `RunCancelled`. From any thread; does not wait."""
        self._cancelled = True
        for drive in reversed(self.drives):
            drive.cancel(why)
        if self.started and not self._consumed:
            reaper().end(self.close, wait=False)

    def drop(self) -> None:
        """End it, from a finalizer: nothing is waited for, no lock is taken here."""
        if self.started and not self.closed:
            reaper().end(self.close, wait=False)

    def close(self) -> None:
        """End everything that the run has started, within 2 s. Safe to call twice."""
        if not self._closing():
            return
        errors: list[BaseException] = []
        try:
            side_by_side([drive.close for drive in self.drives if drive.started and not drive.closed], errors)
        finally:
            self._ended()
        if errors and self._error is None:  # else that is the news
            raise errors[0]

    async def close_async(self) -> None:
        """The same from the run's own event loop, which goes on meanwhile."""
        if not self._closing():
            return
        try:
            await asyncio.gather(*(drive.close_async() for drive in self.drives if drive.started))
        finally:
            await self._beside(self._ended)

    def _closing(self) -> bool:
        with self._lock:
            if self.closed:
                return False
            self.closed = True
        for drive in self.drives:
            with drive.ending.lock:
                if not drive.started:  # nor will it be; the stage behind it may be about to read its results
                    drive.closed = True
                unread = drive.closed and not drive.started
            if unread or not (drive.closed or drive.lane.over or drive.figures.outcome):
                drive.halt(RunCancelled("it was left before its end"))
        return True

    def _ended(self) -> None:
        error = self._error or RunCancelled("the run was left before its end")
        with contextlib.ExitStack() as last:  # each of them, whatever another raises; in reverse order
            if self.started:
                last.callback(self._tell)
                last.callback(reaper().leave)
            if self._book is not None:
                last.callback(self._close_book)
            for sink in self._sinks:
                last.callback(sink.abandon, error)
            for link in self.links:
                for results in link.opened:
                    close = getattr(results, "close", None)
                    if close is not None and not getattr(results, "gi_running", False):
                        last.callback(close)

    def _close_book(self) -> None:
        try:
            self._book.close()
        except PlaitError:
            if self._error is None:  # else that is the news, and perhaps the same
                raise

    def _tell(self) -> None:
        if not self.hub.wanted:
            return
        last = self.figures
        failed = self._error is not None or any(
            drive.outlet.failed or drive.figures.outcome == "failed" for drive in self.drives
        )
        outcome = "cancelled" if self._cancelled else "failed" if failed else "done"
        failures = sum(figures.failures for figures in self.all_figures)
        seconds = time.perf_counter() - self._began
        self.hub.emit(
            RunFinished(run=self.name, outcome=outcome, finished=last.finished, failures=failures, seconds=seconds)
        )
