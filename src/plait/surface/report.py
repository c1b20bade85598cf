"""`Report`: what a run did, live while it runs; in words, as a dict, as a table."""

from __future__ import annotations

from html import escape
from typing import Any

from plait.engine.figures import Figures
from plait.placement import Placement
from plait.surface.explain import bytes_, described, explain, joined, rate_, seconds

__all__ = ["Report"]


class Report:
    """What a run has done so far; `run.report`.

    **Concurrency**: may be read at any time from any thread; figures of a run in progress are a moment's.
    """

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    @property
    def stages(self) -> tuple[Report, ...]:
        """The reports of the stages: of a map, this one."""
        return (self,)

    @property
    def placement(self) -> Placement | None:
        """The placement in use, to be pasted into `model=`; `None` before it is chosen."""
        return self._figures.placement

    @property
    def model(self) -> str | None:
        """The placement in the user's word: `"threads"`, `"processes+async"`, ..."""
        return self.placement.model if self.placement else None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why that placement."""
        return self._figures.reasons

    @property
    def items(self) -> int:
        """Items that have their result."""
        return self._figures.finished

    @property
    def failures(self) -> int:
        """Items that failed for good."""
        return self._figures.failures

    @property
    def retries(self) -> int:
        """Attempts that failed and were followed by another."""
        return self._figures.retries

    @property
    def crashes(self) -> int:
        """Workers that died."""
        return self._figures.crashes

    @property
    def wall(self) -> float:
        """Seconds from the start to now, or to the end."""
        return self._figures.wall

    @property
    def rate(self) -> float:
        """Items a second."""
        return self.items / self.wall if self.wall else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        figures, at = self._figures, self.placement
        return {
            "stage": figures.stage,
            "model": self.model,
            "placement": {"place": at.place, "style": at.style, "workers": at.workers, "width": at.width}
            if at
            else None,
            "reasons": list(figures.reasons),
            "total": figures.total,
            "read": figures.read,
            "items": figures.finished,
            "failures": figures.failures,
            "retries": figures.retries,
            "crashes": figures.crashes,
            "timeouts": figures.timeouts,
            "late_results_refused": figures.refused_late,
            "workers_recycled": figures.recycled,
            "items_per_second": self.rate,
            "wall_seconds": figures.wall,
            "busy_seconds": figures.busy,
            "cpu_seconds": figures.cpu,
            "source_held_seconds": figures.held,
            "consumer_waited_seconds": figures.waited,
            "peak_worker_bytes": figures.peak_memory,
            "bytes_to_workers": figures.bytes_out,
            "bytes_from_workers": figures.bytes_in,
            "changes": [
                {
                    "at": change.at,
                    "model": change.placement.model,
                    "workers": change.placement.workers,
                    "width": change.placement.width,
                    "reasons": list(change.reasons),
                }
                for change in figures.moves
            ],
        }

    def explain(self) -> str:
        """What was chosen and why, what changed while it ran, how it went, and what would make it faster."""
        return explain(self._figures)

    def __str__(self) -> str:
        return self.explain()

    def __repr__(self) -> str:
        figures = self._figures
        return f"<Report {figures.stage}: {self.model}, {figures.finished} items, {figures.failures} failures>"

    def __rich__(self) -> Any:
        """A table for rich."""
        from rich.table import Table  # only who prints by rich needs it

        table = Table(title=f"plait: {self._figures.stage}", show_header=False)
        for name, value in self._rows():
            table.add_row(name, value)
        return table

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(n)}</th><td>{escape(v)}</td></tr>" for n, v in self._rows()
        )
        return f"<table>{rows}</table>"

    def _rows(self) -> list[tuple[str, str]]:
        figures = self._figures
        return [
            ("placement", described(self.placement) if self.placement else "not chosen yet"),
            ("why", joined(figures.reasons)),
            ("items", f"{figures.finished:,}"),
            ("failures", f"{figures.failures:,}"),
            ("retries", f"{figures.retries:,}"),
            ("crashes", f"{figures.crashes:,}"),
            ("time", seconds(figures.wall)),
            ("rate", rate_(self.rate)),
            ("worker memory", bytes_(figures.peak_memory) if figures.peak_memory else "-"),
            ("moved", f"{bytes_(figures.bytes_out)} there, {bytes_(figures.bytes_in)} back"),
        ]
