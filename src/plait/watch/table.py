"""The table: a line for each stage of a flow, the one that holds up the others marked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from plait.watch.pace import clock, per_second
from plait.watch.view import Row, View

__all__ = ["table"]

#: Heading, what it shows, its style, and whether numbers stand in it.
Column = tuple[str, Callable[[Row], str], str, bool]

COLUMNS: tuple[Column, ...] = (
    ("stage", lambda row: row.at.stage, "bold", False),
    ("done", lambda row: row.count("/"), "green", True),
    ("rate", lambda row: per_second(row.rate), "", True),
    ("left", lambda row: clock(row.left) if row.left is not None else "", "cyan", True),
    ("in progress", lambda row: f"{row.at.in_progress or 0:,}" if _is_on(row) else "", "", True),
    ("failed", lambda row: f"{row.at.failures:,}" if row.at.failures else "", "red", True),
    ("retried", lambda row: f"{row.at.retries:,}" if row.at.retries else "", "yellow", True),
    ("crashed", lambda row: f"{row.at.crashes:,}" if row.at.crashes else "", "red", True),
    ("model", lambda row: row.at.model, "dim", False),
)
#: Shown only while there is something in them.
RARE = ("left", "in progress", "failed", "retried", "crashed")
#: What a narrow terminal does without, first to last.
SPARED = ("in progress", "model", "left", "retried", "crashed", "rate")
GAP = 2
#: Characters of a stage's name that are worth more than a further column.
NAME = 12


def table(view: View, rows: list[Row], now: float, width: int) -> Any:
    """A heading, a row for each stage and a line below them, for rich and a terminal of `width` columns."""
    slowest = view.slowest
    columns = [(column, [column[1](row) for row in rows]) for column in COLUMNS]
    columns = [(column, cells) for column, cells in columns if any(cells) or column[0] not in RARE]
    for spared in SPARED:
        if _wide(columns, NAME) <= width:
            break
        columns = [(column, cells) for column, cells in columns if column[0] != spared]
    name = max(1, width - _wide(columns, 0))
    grid = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    grid.add_column(no_wrap=True, width=1)
    for (heading, _, style, number), _ in columns:
        justify: Literal["left", "right"] = "right" if number else "left"
        most = name if heading == "stage" else None
        grid.add_column(style=style, justify=justify, no_wrap=True, overflow="ellipsis", max_width=most)
    grid.add_row("", *(Text(heading, style="dim") for (heading, *_), _ in columns))
    for at, row in enumerate(rows):
        held = row.at.stage == slowest
        grid.add_row(
            Text(">" if held else " ", style="bold yellow"),
            *(Text(cells[at], style="yellow" if held and column[0] == "stage" else "") for column, cells in columns),
        )
    return Group(grid, Text(_below(view, rows, slowest, now), style="dim", no_wrap=True, overflow="ellipsis"))


def _is_on(row: Row) -> bool:
    return row.at.in_progress is not None and not row.at.ended


def _wide(columns: list[tuple[Column, list[str]]], name: int) -> int:
    """Columns of the terminal, with so many at most for the stages' names."""
    widths = {column[0]: max(map(len, (column[0], *cells))) for column, cells in columns}
    widths["stage"] = min(name, widths["stage"])
    return 1 + sum(GAP + wide for wide in widths.values())


def _below(view: View, rows: list[Row], slowest: str, now: float) -> str:
    """How long it took, and what held it up."""
    gone = clock(view.seconds(now))
    ends = ("source", "consumer")
    held = f"the {slowest}" if slowest in ends and slowest not in {row.at.stage for row in rows} else slowest
    verb = "was" if view.done else "is"
    return (f"in {gone}" if view.done else f"{gone} gone") + (f"; {held} {verb} the bottleneck" if held else "")
