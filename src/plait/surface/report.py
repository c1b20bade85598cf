"""`Report`: what a run did, live while it runs; in words, as a dict, as a table."""

from __future__ import annotations

from html import escape
from typing import Any

from plait.engine.figures import Figures
from plait.placement import Placement

__all__ = ["Report"]


class Report:
    """What a run has done so far; `run.report`.

    **Concurrency**: may be read at any time from any thread; figures of a run in progress are a moment's.
    """

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

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
            "changes": [{"at": at_, "model": model} for at_, model in figures.moves],
        }

    def explain(self) -> str:
        """What was chosen, why, and how it went, in words."""
        figures = self._figures
        if self.placement is None:
            return f"{figures.stage}: nothing was run yet."
        lines = [f"{figures.stage}: {_described(self.placement)}, because {_joined(figures.reasons)}."]
        lines.append(f"{_plural(figures.finished, 'item')} in {_seconds(figures.wall)} ({_rate(self.rate)}).")
        if figures.failures:
            lines.append(f"{_plural(figures.failures, 'failure')}: see run.failures.")
        lines += [line for line in (self._trouble(), self._moved(), self._advice()) if line]
        return "\n".join(lines)

    def _trouble(self) -> str:
        figures = self._figures
        parts = [
            _plural(count, word)
            for count, word in (
                (figures.retries, "retry"),
                (figures.crashes, "crashed worker"),
                (figures.timeouts, "timeout"),
                (figures.refused_late, "late result"),
                (figures.recycled, "recycled worker"),
            )
            if count
        ]
        return f"On the way: {', '.join(parts)}." if parts else ""

    def _moved(self) -> str:
        figures = self._figures
        if not figures.bytes_out + figures.bytes_in:
            return ""
        there, back = _bytes(figures.bytes_out), _bytes(figures.bytes_in)
        memory = f"; the workers took up to {_bytes(figures.peak_memory)}" if figures.peak_memory else ""
        cpu = f", {_seconds(figures.cpu)} of CPU in the workers" if figures.cpu else ""
        return f"{there} went to the workers and {back} came back{cpu}{memory}."

    def _advice(self) -> str:
        """Which of source, function and consumer was the slowest, and what would help."""
        figures, at = self._figures, self.placement
        if at is None or figures.wall < 0.5 or not figures.busy or at.style == "loop":
            return ""
        busy = min(1.0, figures.busy / (max(1, figures.seats) * (at.width or 1) * figures.wall))
        if busy >= 0.5:
            return f"The function was the bottleneck: its slots were busy {busy:.0%} of the time."
        if figures.waited < 0.2 * figures.wall:
            share = figures.waited / figures.wall
            return f"The consumer was the bottleneck: it waited for results only {share:.0%} of the time."
        if figures.held < 0.2 * figures.wall:
            return f"The source was the bottleneck: the slots were busy only {busy:.0%} of the time, waiting for items."
        return f"The slots were busy only {busy:.0%} of the time: sending items and results took the rest."

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
            ("placement", _described(self.placement) if self.placement else "not chosen yet"),
            ("why", _joined(figures.reasons)),
            ("items", f"{figures.finished:,}"),
            ("failures", f"{figures.failures:,}"),
            ("retries", f"{figures.retries:,}"),
            ("crashes", f"{figures.crashes:,}"),
            ("time", _seconds(figures.wall)),
            ("rate", _rate(self.rate)),
            ("worker memory", _bytes(figures.peak_memory) if figures.peak_memory else "-"),
            ("moved", f"{_bytes(figures.bytes_out)} there, {_bytes(figures.bytes_in)} back"),
        ]


def _described(at: Placement) -> str:
    width = at.width or 1
    match (at.place, at.style):
        case ("here", "serial"):
            return "serial, in this process"
        case ("here", "threads"):
            return f"threads, {width} in this process"
        case ("here", _):
            return f"async, {width} at a time on one event loop"
        case (place, "serial"):
            return f"{place}, {_plural(at.workers or 1, 'worker')}"
    return f"{at.model}, {_plural(at.workers or 1, 'worker')} with {width} at a time each"


def _joined(reasons: tuple[str, ...]) -> str:
    return "; ".join(reason.rstrip(".") for reason in reasons) or "nothing was measured"


def _plural(count: int, word: str) -> str:
    plural = {"retry": "retries"}.get(word, word + "s")
    return f"{count:,} {word if count == 1 else plural}"


def _seconds(seconds: float) -> str:
    if seconds < 0.001:
        return "under 1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 119.95:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
