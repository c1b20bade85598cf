"""Who watches a run from the command line: a bar or a table on a terminal, lines of text elsewhere if asked for."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from plait.events import Event, RunFinished

__all__ = ["watched"]


@contextlib.contextmanager
def watched(run: Any, total: int | None, progress: bool | None, *, busy: bool) -> Iterator[None]:
    """Show how `run` goes. Enter it before the run starts: what functions print then appears above the bar.

    Parameters:
        total: about how many items there are.
        progress: whether; `None`: on a terminal.
        busy: the terminal shows results.
    """
    drawn = sys.stderr.isatty() and not busy
    if not (drawn if progress is None else progress):
        yield
        return
    from plait.watch.progress import progress_bar  # only here: whoever sees no bar does not wait for it

    with contextlib.ExitStack() as stack:
        if not drawn or not hasattr(os, "openpty"):
            bar = stack.enter_context(progress_bar(total, report=run.report, draw=drawn))
            stack.enter_context(run.observe(bar, bar.types))
        else:
            from plait.watch.prints import PrintsAbove

            prints = stack.enter_context(PrintsAbove())
            bar = stack.enter_context(progress_bar(total, report=run.report, console=prints.console))

            def observe(event: Event) -> None:
                if isinstance(event, RunFinished):
                    prints.drain()  # what was printed stays above the bar's last line
                bar(event)

            stack.enter_context(run.observe(observe, bar.types))
        yield
