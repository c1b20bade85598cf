"""Which of the models that were tried is the best, and which of them to use. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from plait.fit.choose import gil_seconds
from plait.fit.evidence import Evidence
from plait.fit.reasons import WAITS
from plait.placement import Placement

__all__ = ["NEAR", "Limits", "Row", "holds_gil", "judged", "narrowest"]

#: Two paces that are closer than this are as good as each other: so much they differ from one minute to the next.
NEAR = 0.10
TOO_FEW, FAILED = "too few items to tell", "every item failed"
#: How far a prediction may be wrong, and how far a figure may be above what is possible before a word is said about it.
MISJUDGED, BELIEVED = 2.0, 1.25


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
        verdict: `"best"`, `"as good"` (within 10 %), `"slower 3.2x"`, `"every item failed"`, `"too few items to tell"`
            or `"not tried: why"`.
        brief: it was measured on too few items to be compared.
    """

    model: str
    placement: Placement
    predicted: float | None = None
    measured: float | None = None
    cpu: float | None = None
    memory: int | None = None
    verdict: str = ""
    brief: bool = False


class Limits:
    """What no model can do, whatever was measured: on a machine that others use, too, figures wander.

    Parameters:
        evidence: of the items; `None`: nothing is known of them, and everything is believed.
        cores: CPUs that this process may use.
    """

    def __init__(self, evidence: Evidence | None = None, cores: int = 1) -> None:
        self._gil = holds_gil(evidence)
        self._gain: float | None = None
        if evidence is not None and evidence.cpu_share >= WAITS and evidence.threads <= 1:
            self._gain = cores / evidence.cpu_share

    def credited(self, rows: Sequence[Row]) -> dict[str, float]:
        """Items a second of those that can be compared, each at most what is possible.

        Where items compute, that is the pace of a plain loop times the cores, and times twice the predicted gain. Where
        they need the GIL for most of their time, threads are no faster than none.
        """
        paces = {row.model: row.measured for row in rows if row.measured is not None and not row.brief}
        loop = paces.get("serial")
        if self._gain is not None and loop:
            promised = {row.model: row.predicted for row in rows if row.predicted}
            for model in paces.keys() - {"serial"}:
                gain = self._gain
                if "serial" in promised and model in promised:
                    gain = min(gain, max(1.0, MISJUDGED * promised[model] / promised["serial"]))
                paces[model] = min(paces[model], gain * loop)
        if self._gil:
            for model, without in (("threads", "serial"), ("processes+threads", "processes")):
                if model in paces and paces.get(without):
                    paces[model] = min(paces[model], paces[without])
        return paces

    def exceeded(self, rows: Sequence[Row]) -> list[str]:
        """The models whose figures are far above what is possible."""
        paces = self.credited(rows)
        return [row.model for row in rows if row.model in paces and (row.measured or 0) > BELIEVED * paces[row.model]]


def judged(rows: Sequence[Row], limits: Limits | None = None) -> tuple[tuple[Row, ...], Row | None]:
    """The rows with their verdicts, and the one to use: the simplest within 10 % of the best; `None`: none succeeded.

    Parameters:
        rows: simplest first. Those that were not tried have their verdict already.
        limits: what is possible.
    """
    paces = (limits or Limits()).credited(rows)
    rows = tuple(replace(row, verdict=TOO_FEW if row.measured else FAILED) if row.brief else row for row in rows)
    top = max(paces.values(), default=0.0)
    if top <= 0:
        return tuple(replace(row, verdict=FAILED) if row.model in paces else row for row in rows), None
    best = next(model for model, pace in paces.items() if pace == top)
    verdicts = {model: "best" if model == best else _verdict(pace, top) for model, pace in paces.items()}
    chosen = next(model for model, pace in paces.items() if pace >= (1 - NEAR) * top)
    told = tuple(replace(row, verdict=verdicts.get(row.model, row.verdict)) for row in rows)
    return told, next(row for row in told if row.model == chosen)


def _verdict(pace: float, top: float) -> str:
    if pace <= 0:
        return FAILED
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
