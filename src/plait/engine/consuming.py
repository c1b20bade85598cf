"""`Consuming`: the side of a run that faces the consumer: results as they come, or run by the consumer itself.

Tiny items are run inline, in the thread of who asks for results: nothing is handed to anybody. Where they turn out to
have become longer, the run goes on as a parallel one.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

from plait.engine.crews import Crews
from plait.engine.drift import Drift
from plait.engine.ending import Ending
from plait.engine.figures import Figures
from plait.engine.inline import run_inline
from plait.engine.outlet import Outlet
from plait.engine.reaper import reaper
from plait.engine.revoking import RevocableLane
from plait.engine.rules import Rules
from plait.errors import RunCancelled
from plait.events import Hub
from plait.fit.evidence import Evidence
from plait.placement import Placement

__all__ = ["Consuming"]


class Consuming(abc.ABC):
    """Hands out the results of one run."""

    function: Callable[[Any], Any]
    items: Any
    rules: Rules
    hub: Hub
    figures: Figures
    asked: Placement | None
    outlet: Outlet
    lane: RevocableLane
    ending: Ending
    crews: Crews
    started: bool
    closed: bool
    is_async: bool

    def __init__(self) -> None:
        self._why = ""  # it is run by the consumer, though nothing was asked for
        self._consumed = False
        self._inline: Generator[Any, None, None] | None = None
        self._drift: Drift | None = None
        self._handed: tuple[float, int] | None = None  # when the consumer got results, and how many
        self._cancelled: list[BaseException] = []  # what an inline run looks at between two items

    @abc.abstractmethod
    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin to read and to run, on `loop` where one is needed."""

    @abc.abstractmethod
    def close(self) -> None:
        """End everything that the run has started."""

    @abc.abstractmethod
    async def close_async(self) -> None:
        """The same from the run's own event loop."""

    @abc.abstractmethod
    def _begin(self) -> None: ...

    @abc.abstractmethod
    def _begin_drive(self, source: Iterator[Any] | None = None) -> None: ...

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
        """Results for a consumer in a thread, one by one."""
        here = not self.started and not hasattr(self.items, "__aiter__") and self._plain
        asked = self.asked or (self._bound() if here else None)
        if here and asked is not None and asked.place == "here" and asked.style == "serial":
            return self._serial(asked)
        return self._one_by_one()

    def _one_by_one(self) -> Iterator[Any]:
        # Not itertools.chain, which costs half as much: two threads that ask it at once can crash the interpreter.
        for results in self._segments():
            yield from results

    @property
    def _plain(self) -> bool:
        """Whether every item is run, as soon as the one before is done."""
        return self.lane.admission is None and not self.rules.gated

    def _bound(self) -> Placement | None:
        """The consumer's own thread, where the function works in no other (nothing else may have been asked for)."""
        rules = self.rules
        serial = rules.model == "auto" or (isinstance(rules.model, tuple) and "serial" in rules.model)
        found = rules.pins(self.function).thread if serial and not (rules.isolate or self.is_async) else None
        if found is not None:
            self._why = f"it runs in the thread that asks for its results: {found.reason}"
        return Placement("here", "serial", 1, 1) if found is not None else None

    def _serial(self, placement: Placement) -> Iterator[Any]:
        self.started = True
        self._begin()
        self.crews.chose(placement, (self._why or f"{self.rules.asked_by} asks for it",))
        self._inline = self._run_inline(iter(self.items))
        return self._inline

    def _run_inline(self, source: Iterator[Any]) -> Generator[Any, None, None]:
        figures = self.figures
        figures.seats = 1
        return run_inline(
            self.function,
            source,
            figures.read,
            self.rules,
            figures,
            self.hub,
            self._cancelled,
            self.close,
            lambda: self._drift.outside if self._drift is not None else 0.0,
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
            if not self.closed:
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
        results, begun = None, figures.flowing is not None  # what it takes to start is nobody's being slow
        try:
            results = self.outlet.take()
            return results
        finally:
            now = time.perf_counter()
            figures.waited += now - began if begun else 0.0
            figures.flowing = figures.flowing or now
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
        began, begun = time.perf_counter(), self.figures.flowing is not None
        try:
            return await self.outlet.take_async()
        finally:
            now = time.perf_counter()
            self.figures.waited += now - began if begun else 0.0
            self.figures.flowing = self.figures.flowing or now
