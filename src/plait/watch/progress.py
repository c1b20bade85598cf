"""The progress bar: an observer that counts events, and a line that rich redraws eight times a second."""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any

from plait.events import (
    ChunkFinished,
    Event,
    ItemFailed,
    ItemRetried,
    PlacementChosen,
    RunFinished,
    RunStarted,
    WorkerCrashed,
)

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["ProgressBar", "progress_bar"]

REFRESH_HZ = 8
#: The rate shown is that of the last seconds: it follows a run that speeds up, without trembling.
RATE_SECONDS = 6.0
#: Without a terminal, a line this often.
LOG_SECONDS = 10.0


def progress_bar(total: int | None = None, *, console: Console | None = None, draw: bool = True) -> ProgressBar:
    """An observer that shows a run's progress on standard error.

    Parameters:
        total: the number of items, if it is known better than the run knows it.
        console: where to draw instead of standard error; who gives one keeps prints apart from it (`PrintsAbove`).
        draw: false: even on a terminal write a line of text every ten seconds, as is done where there is none.
    """
    return ProgressBar(total, console, draw)


class ProgressBar:
    """Count, total, rate, time left, model, failures, retries and crashes of one run.

    A context manager for those who want the terminal clean whatever happens; it also closes at `RunFinished` and at
    the interpreter's end. **Concurrency** called from any thread. **Cost** well under a microsecond an event: the
    drawing is done by rich's thread.
    """

    def __init__(self, total: int | None, console: Console | None, draw: bool) -> None:
        self.figures = Figures(total)
        self._console, self._draw = console, draw
        self._lock = threading.Lock()
        self._screen: _Bar | _Log | None = None
        self._closed = False

    def __call__(self, event: Event) -> None:
        """Count it."""
        kind, figures = type(event), self.figures
        if kind is ChunkFinished:
            with self._lock:  # an attempt that failed is no end of its item: it is retried, or told of by ItemFailed
                figures.finished += event.items - event.failed  # type: ignore[attr-defined]
        elif kind is ItemFailed:
            with self._lock:
                figures.finished += 1
                figures.failures += 1
        elif kind is ItemRetried:
            with self._lock:
                figures.retries += 1
        elif kind is WorkerCrashed:
            figures.crashes += 1
        elif isinstance(event, PlacementChosen):
            figures.stage, figures.model = event.stage, _shape(event)
        elif isinstance(event, RunStarted):
            self._start(event)
        elif isinstance(event, RunFinished):
            figures.finished, figures.done = event.finished + event.failures, event.outcome == "done"
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
        figures = self.figures
        figures.begin(time.monotonic(), event.total)
        with self._lock:
            if self._closed or self._screen is not None:
                return
            self._screen = screen = _screen(figures, self._console, self._draw)
        atexit.register(self.close)
        screen.start()


def _shape(event: PlacementChosen) -> str:
    sizes = [str(size) for size in (event.workers, event.width) if size and size > 1]
    return f"{event.model} x {' x '.join(sizes)}" if sizes else event.model


class Figures:
    """What the line shows: counts that events raise, and a rate over the last seconds."""

    def __init__(self, total: int | None) -> None:
        self.total, self.finished = total, 0
        self.failures = self.retries = self.crashes = 0
        self.stage, self.model, self.done = "", "", False
        self._began = 0.0
        self._seen: deque[tuple[float, int]] = deque()

    def begin(self, now: float, total: int | None) -> None:
        self.total = self.total if self.total is not None else total
        self._began = now
        self._seen.append((now, 0))

    def seconds(self, now: float) -> float:
        return now - self._began

    def rate(self, now: float) -> float:
        """Items a second over the last seconds; over the whole run once it is done."""
        if self.done:
            return self.finished / max(1e-9, self.seconds(now))
        self._seen.append((now, self.finished))
        while len(self._seen) > 2 and self._seen[1][0] < now - RATE_SECONDS:
            self._seen.popleft()
        then, count = self._seen[0]
        return (self.finished - count) / (now - then) if now > then else 0.0

    def left(self, rate: float) -> float | None:
        """Seconds until the end at this rate; `None` where nobody can know."""
        return max(0, self.total - self.finished) / rate if self.total is not None and rate > 0 else None

    def troubles(self) -> list[tuple[str, str]]:
        """What went wrong so far, with the colour to say it in."""
        said = [
            (self.failures, "failed", "red"),
            (self.retries, "retried", "yellow"),
            (self.crashes, "crashed", "red"),
        ]
        return [(f"{count:,} {word}", colour) for count, word, colour in said if count]

    def words(self, now: float) -> str:
        """All of it on one line of plain text."""
        rate = self.rate(now)
        parts = [f"{self.finished:,}" + (f" of {self.total:,}" if self.total is not None else "") + " items"]
        parts += [_rate(rate), f"{_clock(self.seconds(now))} gone"]
        left = self.left(rate)
        parts += [f"{_clock(left)} left"] if left is not None and not self.done else []
        parts += [self.model] if self.model else []
        return f"{self.stage or 'plait'}: " + ", ".join(parts + [text for text, _ in self.troubles()])


def _rate(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 0.1 or rate == 0 else f"{rate * 60:.1f}/min"


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds + 0.5), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _screen(figures: Figures, console: Console | None, draw: bool) -> _Bar | _Log:
    if not draw or (console is None and not _is_terminal(sys.stderr)):
        return _Log(figures)
    from rich.console import Console  # heavy: only once there is a terminal to draw on

    screen = console or Console(stderr=True)
    return _Bar(figures, screen, console is None) if screen.is_terminal else _Log(figures)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


class _Bar:
    """A line that rich keeps at the bottom of the terminal; what the program prints appears above it."""

    def __init__(self, figures: Figures, console: Console, redirect: bool) -> None:
        from rich.live import Live

        self._figures = figures
        self._live = Live(
            get_renderable=self._line,
            console=console,
            refresh_per_second=REFRESH_HZ,
            # Output that goes to a file must not be moved to the terminal.
            redirect_stdout=redirect and _is_terminal(sys.stdout),
            redirect_stderr=redirect,
        )

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def _line(self) -> Any:
        from rich.progress_bar import ProgressBar as Stripe
        from rich.table import Table
        from rich.text import Text

        figures, now = self._figures, time.monotonic()
        rate, total = figures.rate(now), figures.total
        if figures.done:
            total = figures.finished  # an estimated total ends as the true one
        left = figures.left(rate)
        count = f"{figures.finished:,}" + (f"/{total:,}" if total is not None else "")
        gone = _clock(figures.seconds(now))
        pace = f"in {gone}" if figures.done else gone if left is None else f"{_clock(left)} left"
        # An estimated total may be too small: the stripe must not claim to be at its end.
        done = figures.finished if figures.done or total is None else min(figures.finished, total)
        row: list[Any] = [
            Text(figures.stage or "plait", style="bold", no_wrap=True, overflow="ellipsis"),
            Stripe(total, done, width=24, pulse=total is None, complete_style="cyan", finished_style="green"),
            Text(count, style="green", no_wrap=True),
            Text(_rate(rate), no_wrap=True),
            Text(pace, style="cyan", no_wrap=True),
            Text(figures.model, style="dim", no_wrap=True, overflow="ellipsis"),
        ]
        row += [Text(text, style=colour, no_wrap=True) for text, colour in figures.troubles()]
        line = Table.grid(padding=(0, 1))
        line.add_row(*row)
        return line


class _Log:
    """A line of text every some seconds, for logs of machines."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="plait-progress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._say()

    def _work(self) -> None:
        while not self._ended.wait(LOG_SECONDS):
            self._say()

    def _say(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            print(self._figures.words(time.monotonic()), file=sys.stderr, flush=True)
