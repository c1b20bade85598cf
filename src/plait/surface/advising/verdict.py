"""Which of the models that were tried is the best, and which of them to use. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from plait.fit.choose import gil_seconds
from plait.fit.evidence import Evidence
from plait.placement import Placement

__all__ = ["NEAR", "Row", "holds_gil", "judged", "narrowest"]

#: Two paces that are closer than this are as good as each other: so much they differ from one minute to the next.
NEAR = 0.10


@dataclass(frozen=True, slots=True)
class Row:
    """A model in the table.

    Parameters:
        model: the user's word for it.
        placement: the exact form in which it did best.
        predicted: items a second, from the evidence; `None`: there was none.
        measured: items a second that succeeded; `None`: it was not tried.
        cpu: cores that were busy on average, 0 to all of them.
        memory: bytes that it took beyond what was taken before: of the workers together, or of this process.
        verdict: `"best"`, `"as good"` (within 10 %), `"slower 3.2x"`, `"every item failed"` or `"not tried: why"`.
    """

    model: str
    placement: Placement
    predicted: float | None = None
    measured: float | None = None
    cpu: float | None = None
    memory: int | None = None
    verdict: str = ""


def judged(rows: Sequence[Row], *, gil: bool = False) -> tuple[tuple[Row, ...], Row | None]:
    """The rows with their verdicts, and the one to use: the simplest within 10 % of the best; `None`: none succeeded.

    Parameters:
        rows: simplest first. Those that were not tried have their verdict already.
        gil: items need the GIL for most of their time. Threads cannot be faster than none then: what they were ahead
            by was the machine's mood.
    """
    paces = {row.model: row.measured for row in rows if row.measured is not None}
    if gil:
        for model, without in (("threads", "serial"), ("processes+threads", "processes")):
            if model in paces and paces.get(without):
                paces[model] = min(paces[model], paces[without])
    top = max(paces.values(), default=0.0)
    if top <= 0:
        return tuple(replace(row, verdict="every item failed") if row.model in paces else row for row in rows), None
    best = next(model for model, pace in paces.items() if pace == top)
    verdicts = {model: "best" if model == best else _verdict(pace, top) for model, pace in paces.items()}
    chosen = next(model for model, pace in paces.items() if pace >= (1 - NEAR) * top)
    told = tuple(replace(row, verdict=verdicts.get(row.model, row.verdict)) for row in rows)
    return told, next(row for row in told if row.model == chosen)


def _verdict(pace: float, top: float) -> str:
    if pace <= 0:
        return "every item failed"
    if pace >= (1 - NEAR) * top:
        return "as good"
    times = top / pace
    return f"slower {times:,.1f}x" if times < 100 else f"slower {times:,.0f}x"


def narrowest(paces: Sequence[float]) -> int:
    """Which of the widths of one model to use, narrowest first: the first within 10 % of the best."""
    top = max(paces)
    return next(at for at, pace in enumerate(paces) if pace >= (1 - NEAR) * top)


def holds_gil(evidence: Evidence | None) -> bool:
    """Whether items need the GIL for most of their time."""
    return evidence is not None and gil_seconds(evidence) > 0.5 * evidence.seconds_mean
