"""The progress bar: an observer that shows a run, or each stage of a flow, from its start to its end."""

from __future__ import annotations

import atexit
import threading
import time
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from plait.events import ChunkFinished, Event, RunFinished, RunStarted
from plait.watch.screen import Screen, screen_for
from plait.watch.standing import Counts, standings
from plait.watch.view import View

if TYPE_CHECKING:
    from rich.console import Console

    from plait.surface.report import Report

__all__ = ["ProgressBar", "progress_bar"]


def progress_bar(
    total: int | None = None, *, report: Report | None = None, console: Console | None = None, draw: bool = True
) -> ProgressBar:
    """An observer that shows a run's progress on standard error: a line, or a table with one for each stage of a flow.

    Parameters:
        total: the number of items, if it is known better than the run knows it.
        report: the run's, whose figures are shown; `None`: events are counted, which tells less (nothing of what a
            journal replays, of items in progress, of the bottleneck).
        console: where to draw instead of standard error; who gives one keeps prints apart from it (`PrintsAbove`).
        draw: false: even on a terminal write a line of text every ten seconds, as is done where there is none.
    """
    return ProgressBar(total, report, console, draw)


class ProgressBar:
    """Count, total, rate, time left, model, failures, retries and crashes of each stage; which is the bottleneck.

    A context manager for those who want the terminal clean whatever happens; it also closes at `RunFinished` and at
    the interpreter's end. **Concurrency** called from any thread. **Cost** with a report, nothing while the run goes
    on but a look at its figures, some times a second; else a microsecond an event. The drawing is done by a thread.

    Attributes:
        types: the events that it wants to hear of.
    """

    def __init__(self, total: int | None, report: Report | None, console: Console | None, draw: bool) -> None:
        self._counts = counts = Counts() if report is None else None
        # Who wants to hear of chunks gets figures that are up to date, even of items that the consumer runs itself.
        kinds = counts.TYPES if counts is not None else (ChunkFinished,)
        self.types: tuple[type[Event], ...] = (RunStarted, RunFinished, *kinds)
        look = partial(standings, report) if report is not None else (counts or Counts()).standings
        self.view = View(look, lambda: getattr(report, "bottleneck", ""), total, time.monotonic())
        self._console, self._draw = console, draw
        self._lock = threading.Lock()
        self._screen: Screen | None = None
        self._closed = False

    def __call__(self, event: Event) -> None:
        """Take note of it."""
        if self._counts is not None:
            self._counts.take(event)
        if isinstance(event, RunStarted):
            self._start(event)
        elif isinstance(event, RunFinished):
            self.view.done = event.outcome == "done"
            self.close()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Draw the last state and give the terminal back; again is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed, screen = True, self._screen
        if screen is not None:
            atexit.unregister(self.close)
            screen.stop()

    def _start(self, event: RunStarted) -> None:
        self.view.began = time.monotonic()
        if self._counts is not None and self.view.total is None:
            self.view.total = event.total
        with self._lock:
            if self._closed or self._screen is not None:
                return
            self._screen = screen = screen_for(self.view, self._console, self._draw)
        atexit.register(self.close)
        screen.start()
