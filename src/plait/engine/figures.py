"""`Figures`: what a lane counts of itself while it runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from plait.failure import Failure
from plait.placement import Placement

__all__ = ["KEPT", "Figures"]

#: Failures of which all is kept; of the rest only the number (a run of millions must not keep millions).
KEPT = 1000


@dataclass(slots=True)
class Figures:
    """Figures of one stage. Written under the lane's lock, read at any time."""

    stage: str
    placement: Placement | None = None
    reasons: tuple[str, ...] = ()
    total: int | None = None
    read: int = 0
    finished: int = 0
    failures: int = 0
    retries: int = 0
    crashes: int = 0
    timeouts: int = 0
    refused_late: int = 0
    recycled: int = 0
    busy: float = 0.0
    cpu: float = 0.0
    bytes_out: int = 0
    bytes_in: int = 0
    held: float = 0.0  # seconds that the source was held back, since the buffer was full
    waited: float = 0.0  # seconds that the consumer waited for results
    peak_memory: int = 0
    seats: int = 0
    outcome: str = ""  # of an inline run: "done", "failed" or, left before its end, nothing
    began: float | None = None
    ended: float | None = None
    kept: deque[Failure] = field(default_factory=lambda: deque(maxlen=KEPT))
    moves: list[tuple[float, str]] = field(default_factory=list)

    def start(self) -> None:
        """The stage begins now."""
        self.began = time.perf_counter()

    def end(self) -> None:
        """The stage ended now, unless it had."""
        if self.ended is None:
            self.ended = time.perf_counter()

    @property
    def wall(self) -> float:
        """Seconds since it began, until it ended."""
        if self.began is None:
            return 0.0
        return (self.ended or time.perf_counter()) - self.began

    def chose(self, placement: Placement, reasons: Sequence[str]) -> None:
        """It runs under `placement` from now on, for `reasons`."""
        self.placement, self.reasons = placement, tuple(reasons)
        self.moves.append((self.wall, placement.model))
