"""`Earlier`: what earlier runs of the same function learned, as a start for this one; and what this one leaves behind.

It is a hint for the first moments. The first items are measured all the same, only fewer of them; where they differ
from what was recalled, that is forgotten, and whatever is begun with is watched and moved away from like anything else.
"""

from __future__ import annotations

from typing import Any

from plait.engine.figures import Figures
from plait.engine.rules import Rules
from plait.fit.evidence import Evidence
from plait.fit.recall import Recalled, recall, remember
from plait.placement import Placement

__all__ = ["Earlier"]

#: Seconds that a run must have taken for it to be worth remembering.
WORTH = 0.3
#: Items and seconds of them that confirm what was recalled.
ITEMS, SECONDS = 3, 0.010
#: How far they may be off: a factor for seconds, a difference for the CPU share.
TIMES, SHARE = 2.0, 0.25


class Earlier:
    """The memory of one function."""

    def __init__(self, function: Any, rules: Rules) -> None:
        self.function = function
        self.recalled: Recalled | None = recall(function) if rules.model == "auto" else None
        self.keeps = rules.model == "auto"
        self.confirmed = False

    @property
    def leaves(self) -> bool:
        """Whether it ran in worker processes."""
        return self.recalled is not None and self.recalled.placement.place == "processes"

    def confirms(self, items: int, seconds: float, cpu: float) -> bool:
        """Whether `items` that took `seconds` and `cpu` are like those that were recalled."""
        if self.recalled is None or items < ITEMS or seconds < SECONDS:
            return False
        known = self.recalled.evidence
        ratio = seconds / items / max(known.seconds_mean, 1e-9)
        alike = 1 / TIMES < ratio < TIMES and abs(cpu / seconds - known.cpu_share) < SHARE
        if not alike:
            self.recalled = None
        self.confirmed = alike
        return alike

    def width(self, placement: Placement) -> Placement:
        """`placement`, as wide as it was in the end, if it is the same model."""
        known = self.recalled.placement if self.recalled is not None else None
        if known is None or known.model != placement.model or placement.style == "serial":
            return placement
        return Placement(placement.place, placement.style, placement.workers, known.width or placement.width)

    def keep(self, evidence: Evidence | None, figures: Figures) -> None:
        """Remember how this run went, if there is something to be learned from it."""
        if not self.keeps or evidence is None or figures.placement is None or figures.wall < WORTH:
            return
        runs = self.recalled.runs + 1 if self.recalled is not None else 1
        rate = figures.finished / figures.wall
        remember(self.function, Recalled(evidence, figures.placement, rate, runs))
