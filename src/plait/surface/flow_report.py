"""`FlowReport`: the reports of a flow's stages side by side, and which of them holds up the others."""

from __future__ import annotations

from html import escape
from typing import Any

from plait.engine.figures import Figures
from plait.surface.explain import described, explain, plural, rate_, seconds
from plait.surface.report import Report

__all__ = ["FlowReport", "bottleneck"]

#: Share of the time for which a stage must hold up the one before, and keep the one behind waiting, both at once.
BOTH = 0.1
#: The same for one of the two.
HELD = 0.2
#: What stands for a source's share where it was not measured: a stage must have worked for longer to be named.
UNKNOWN = 0.5
#: Share of the time that one must have worked to be named at all.
WORKED = 0.3
#: Share of the time that one must have worked to be named at once, if nobody else has worked for more than `WORKED`.
BUSY = 0.8


class FlowReport(Report):
    """What a flow has done so far: its figures are those of the whole, `stages` has each stage's own.

    `placement`, `model` and `reasons` are those of the stage that is the bottleneck, or else of the last one.

    **Concurrency**: may be read at any time from any thread; figures of a run in progress are a moment's.
    """

    def __init__(self, figures: tuple[Figures, ...]) -> None:
        super().__init__(figures[-1])
        self._all = figures

    @property
    def stages(self) -> tuple[Report, ...]:
        """The reports of the stages, in their order."""
        return tuple(Report(figures) for figures in self._all)

    @property
    def failures(self) -> int:
        """Items that failed for good, in any stage."""
        return sum(figures.failures for figures in self._all)

    @property
    def retries(self) -> int:
        """Attempts that failed and were followed by another."""
        return sum(figures.retries for figures in self._all)

    @property
    def crashes(self) -> int:
        """Workers that died."""
        return sum(figures.crashes for figures in self._all)

    @property
    def wall(self) -> float:
        """Seconds from the start to now, or to the end."""
        return max(figures.wall for figures in self._all)

    @property
    def bottleneck(self) -> str:
        """The name of the stage that holds up the others; `"source"`, `"consumer"`, or empty while nobody can tell."""
        return bottleneck(self._all)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "stages": [stage.to_dict() for stage in self.stages],
            "items": self.items,
            "failures": self.failures,
            "wall_seconds": self.wall,
            "items_per_second": self.rate,
            "bottleneck": self.bottleneck,
        }

    def explain(self) -> str:
        """Stage by stage: what was chosen and why, what changed while it ran, how it went; and what held it up."""
        parts = [explain(figures) for figures in self._all]
        parts.append(f"In all: {plural(self.items, 'result')} in {seconds(self.wall)} ({rate_(self.rate)}).")
        if self.failures:
            parts.append(f"{plural(self.failures, 'failure')}: see run.failures.")
        slowest = self.bottleneck
        if slowest in ("source", "consumer"):
            parts.append(f"The {slowest} held up all stages.")
        elif slowest:
            parts.append(f"{slowest} held up the others.")
        return "\n".join(parts)

    def __repr__(self) -> str:
        names = " -> ".join(figures.stage for figures in self._all)
        return f"<Report {names}: {self.items} results, {self.failures} failures>"

    def __rich__(self) -> Any:
        """A table for rich, with a row for each stage."""
        from rich.table import Table  # only who prints by rich needs it

        table = Table(*_HEAD, title="plait: flow")
        for row in self._table():
            table.add_row(*row)
        return table

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in _HEAD)
        rows = "".join("<tr>" + "".join(f"<td>{escape(v)}</td>" for v in row) + "</tr>" for row in self._table())
        return f"<table><tr>{head}</tr>{rows}</table>"

    def _table(self) -> list[tuple[str, ...]]:
        slowest = self.bottleneck
        return [
            (
                f.stage + (" (bottleneck)" if f.stage == slowest else ""),
                described(f.placement) if f.placement else "not chosen yet",
                f"{f.finished:,}",
                rate_(f.finished / f.wall) if f.wall else "-",
                f"{f.failures:,}",
                f"{f.retries:,}",
            )
            for f in self._all
        ]


_HEAD = ("stage", "placement", "items", "rate", "failures", "retries")


def bottleneck(stages: tuple[Figures, ...]) -> str:
    """Which stage holds up the others.

    The only one that is at work nearly all the time, while who consumes the results waits: where threads fight for the
    GIL, each waits for all others, and only that tells.

    Else the one whose own input is held back, since its queue is full, while who reads its results waits for them.
    Where no queue is full it is the source or the stage that was at work for most of the time (a source that fits into
    the queues is never held back); where the last one is full and nobody waits for it, the consumer.
    """
    last = stages[-1]
    wall = max(figures.wall for figures in stages)
    if wall < 0.1:
        return ""
    span = max(last.flowed, 0.1)
    waits = {f.stage: (f.held + f.waited) / max(f.flowed, 0.1) - 1 for f in stages}  # both at once, so much at least
    reading = stages[0].reading or 0.0
    serial = [f for f in stages if f.placement is not None and f.placement.style == "serial" and not f.seats > 1]
    computes = {f.stage: (f.cpu - reading * _inline(f)) / wall for f in serial}
    worked = {f.stage: _worked(stages, at, wall) for at, f in enumerate(stages)}
    busiest = max(worked, key=worked.__getitem__)
    source = _read(stages[0], wall)
    next_to_it = max([source, *(share for stage, share in worked.items() if stage != busiest)])
    awaited = last.waited > 0.5 * span
    if awaited and worked[busiest] >= BUSY and next_to_it <= WORKED:
        return busiest
    worst = max(waits, key=waits.__getitem__)
    if waits[worst] >= BOTH:
        return worst
    computing = [stage for stage, share in computes.items() if share > 0.7]
    if len(computing) == 1:  # else they share a thread, and it is not known which of them it is
        return computing[0]
    if last.held > HELD * span and last.waited < HELD * span:
        return "consumer"
    if not awaited or max(source, worked[busiest]) < WORKED:
        return ""
    return "source" if source >= worked[busiest] else busiest


def _read(first: Figures, wall: float) -> float:
    """The share of the time that reading the source took; what stands for it where that was not measured."""
    if first.held > HELD * max(first.flowed, 0.1):  # it could have given more
        return 0.0
    if first.reading is not None:
        return first.reading / wall
    return UNKNOWN if first.total is None else WORKED  # what knows its length is there already, as a rule


def _worked(stages: tuple[Figures, ...], at: int, wall: float) -> float:
    """The share of the time for which the slots of a stage ran its own function, at least."""
    figures = stages[at]
    if figures.placement is None:
        return 0.0
    if not _inline(figures):
        slots = max(1, min(max(1, figures.seats) * (figures.placement.width or 1), figures.read))
        return figures.busy / (slots * wall)
    # One thread reads, runs and hands on: what is known of the time of the others is in this stage's.
    others = 0.0
    if at:
        before = stages[at - 1]
        others = before.busy if _inline(before) else before.wall - before.flowed + before.waited
    elif figures.reading is not None:
        others = figures.reading
    elif figures.total is None:
        others = figures.busy
    if at + 1 < len(stages):
        behind = stages[at + 1]
        others += behind.busy if _inline(behind) else behind.held
    return (figures.busy - others) / wall


def _inline(figures: Figures) -> bool:
    """Whether who asks for the results of a stage runs it."""
    return figures.placement is not None and (figures.placement.place, figures.placement.style) == ("here", "serial")
