"""The bar: one line that shows a run of one stage."""

from __future__ import annotations

from typing import Any

from rich.progress_bar import ProgressBar as Stripe
from rich.table import Table
from rich.text import Text

from plait.watch.pace import clock, per_second
from plait.watch.view import Row, View

__all__ = ["line"]


def line(view: View, row: Row, now: float) -> Any:
    """The stage, a stripe, the count, the rate, the time left, the model and what went wrong, for rich."""
    gone, at = clock(view.seconds(now)), row.at
    pace = f"in {gone}" if view.done else gone if row.left is None else f"{clock(row.left)} left"
    # An estimated total may be too small: the stripe must not claim to be at its end.
    done = at.finished if view.done or at.total is None else min(at.finished, at.total)
    cells: list[Any] = [
        Text(at.stage or "plait", style="bold", no_wrap=True, overflow="ellipsis"),
        Stripe(at.total, done, width=24, pulse=at.total is None, complete_style="cyan", finished_style="green"),
        Text(row.count("/"), style="green", no_wrap=True),
        Text(per_second(row.rate), no_wrap=True),
        Text(pace, style="cyan", no_wrap=True),
        Text(at.model, style="dim", no_wrap=True, overflow="ellipsis"),
    ]
    cells += [Text(text, style=colour, no_wrap=True) for text, colour in row.troubles()]
    grid = Table.grid(padding=(0, 1))
    grid.add_row(*cells)
    return grid
