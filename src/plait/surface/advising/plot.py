"""`draw`: an advice as a picture, items a second against width."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

from plait.errors import MissingExtra, OptionError
from plait.surface.advising.verdict import Row

__all__ = ["check", "draw"]

#: One for each model, told apart also by those who do not see all colours.
COLOURS = {
    "serial": "#888888",
    "threads": "#0072b2",
    "async": "#009e73",
    "processes": "#d55e00",
    "processes+threads": "#cc79a7",
    "processes+async": "#e69f00",
}
KINDS = ("svg", "png")


def draw(
    path: str | os.PathLike[str],
    function: str,
    model: str,
    rows: Sequence[Row],
    widths: Sequence[tuple[str, int, float]],
) -> None:
    """Write the picture to `path`; `model` is the choice. See `Advice.plot`."""
    kind, figures = check(path)
    figure = figures.Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    top = _lines(axes, model, rows, widths)
    if any(width > 1 for _, width, _ in widths):
        axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda width, _: f"{width:,.0f}")
    axes.yaxis.set_major_formatter(lambda rate, _: f"{rate:,.0f}" if top >= 10 else f"{rate:.2g}")
    axes.set_ylim(0, 1.15 * top or 1)
    axes.set_xlabel("width: items in progress at once in one worker")
    axes.set_ylabel("items a second")
    axes.set_title(f"{function}: {model}", loc="left", fontweight="bold")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, format=kind, dpi=150)


def check(path: str | os.PathLike[str]) -> tuple[str, Any]:
    """The kind of picture that `path` names, and what draws it.

    Raises:
        MissingExtra: matplotlib is not installed.
        OptionError: the suffix is neither .svg nor .png.
    """
    kind = os.path.splitext(os.fspath(path))[1].lower().removeprefix(".")
    if kind not in KINDS:
        raise OptionError("plot", os.fspath(path), "its name has to end in .svg or .png")
    try:
        return kind, importlib.import_module("matplotlib.figure")  # without pyplot: no window, no global state
    except ImportError as error:
        raise MissingExtra("Plotting", "matplotlib", "plot") from error


def _lines(axes: Any, chosen: str, rows: Sequence[Row], widths: Sequence[tuple[str, int, float]]) -> float:
    """One line a model, and a ring around the choice. Returns the highest of them."""
    top = 0.0
    for row in rows:
        points = [(width, rate) for model, width, rate in widths if model == row.model]
        colour = COLOURS.get(row.model, "#000000")
        workers = row.placement.workers or 1
        label = row.model if row.placement.place == "here" else f"{row.model}, {workers} worker{'s'[: workers != 1]}"
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=label)
        elif row.measured is not None:  # its width is 1: a level to compare with
            axes.axhline(row.measured, linestyle="--", color=colour, label=label)
        if row.measured is not None and row.model == chosen:
            at = row.placement.width or 1
            level = dict(points).get(at, row.measured)
            axes.plot([at], [level], marker="o", markersize=16, fillstyle="none", color="black", linestyle="")
            text = f"{row.measured:,.0f}/s" if row.measured >= 10 else f"{row.measured:.2g}/s"
            axes.annotate(text, (at, level), (0, 14), textcoords="offset points", ha="center", fontweight="bold")
        top = max([top, row.measured or 0.0, *(rate for _, rate in points)])
    return top
