"""Where a view is shown: on a terminal, redrawn by rich some times a second, or as lines of text for a log."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

    from plait.watch.view import View

__all__ = ["Screen", "screen_for"]

REFRESH_HZ = 8
#: The first lines are waited for no longer than this, once all is over.
DRAW_SECONDS = 1.0
#: Without a terminal, a line this often.
LOG_SECONDS = 10.0


class Screen(Protocol):
    """Shows something from `start` to `stop`, and the last state then."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Show the last state and end; nothing is drawn after it."""


def screen_for(view: View, console: Console | None, draw: bool) -> Screen:
    """The screen that fits.

    Parameters:
        console: where to draw instead of standard error.
        draw: false: lines of text even on a terminal.
    """
    if not draw or (console is None and not _is_terminal(sys.stderr)):
        return _Log(view)
    from rich.console import Console  # heavy: only once there is a terminal to draw on

    found = console or Console(stderr=True)
    return _Drawn(view, found, console is None) if found.is_terminal else _Log(view)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


class _Drawn:
    """Lines that rich keeps at the bottom of the terminal; what the program prints appears above them."""

    def __init__(self, view: View, console: Console, redirect: bool) -> None:
        from rich.live import Live

        self._view, self._console = view, console
        self._live = Live(
            get_renderable=self._shown,
            console=console,
            refresh_per_second=REFRESH_HZ,
            # Output that goes to a file must not be moved to the terminal.
            redirect_stdout=redirect and _is_terminal(sys.stdout),
            redirect_stderr=redirect,
        )
        self._begun, self._drawn = False, threading.Event()
        self._error: Exception | None = None

    def start(self) -> None:
        # The first lines are drawn at once, under rich's lock: a print that came before them would not know where they
        # end. By a thread: Ctrl-C in the middle of rich's drawing would have them drawn twice.
        self._begun = True
        threading.Thread(target=self._begin, name="plait-progress", daemon=True).start()
        self._drawn.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        if self._begun:
            self._drawn.wait(DRAW_SECONDS)
            self._live.stop()

    def _begin(self) -> None:
        try:
            self._live.start(refresh=True)
        except Exception as error:
            self._error = error
        finally:
            self._drawn.set()

    def _shown(self) -> Any:
        from plait.watch.line import line
        from plait.watch.table import table

        now = time.monotonic()
        rows = self._view.rows(now)
        if len(rows) == 1:
            return line(self._view, rows[0], now)
        return table(self._view, rows, now, self._console.width)


class _Log:
    """A line of text every some seconds, for logs of machines."""

    def __init__(self, view: View) -> None:
        self._view = view
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
            print(self._view.words(time.monotonic()), file=sys.stderr, flush=True)
