"""`Figures`: what a lane counts of itself while it runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from plait.failure import Failure
from plait.fit.evidence import Evidence
from plait.placement import Placement

__all__ = ["KEPT", "Figures"]

#: Failures of which all is kept; of the rest only the number (a run of millions must not keep millions).
KEPT = 1000
#: Changes of placement or width that are kept.
CHANGES = 200


@dataclass(frozen=True, slots=True)
class Change:
    """What the stage ran under from then on.

    Parameters:
        at: seconds since its start.
        resized: only its width changed.
    """

    at: float
    placement: Placement
    reasons: tuple[str, ...]
    resized: bool = False


@dataclass(slots=True)
class Figures:
    """Figures of one stage. Written under the lane's lock, read at any time."""

    stage: str
    placement: Placement | None = None
    reasons: tuple[str, ...] = ()
    evidence: Evidence | None = None
    total: int | None = None
    fed: bool = False  # by a stage before
    feeds: bool = False  # a stage behind
    paced: bool = False  # by rate= or limit=
    read: int = 0
    finished: int = 0
    failures: int = 0
    passed: int = 0  # failures of stages before, which passed this one by
    replayed: int = 0  # results that the journal remembered
    retries: int = 0
    hedged: int = 0  # items that were issued a second time
    crashes: int = 0
    timeouts: int = 0
    refused_late: int = 0
    recycled: int = 0
    stayed: int = 0  # items that could not travel, or whose results could not, and were run in this process
    busy: float = 0.0
    cpu: float = 0.0
    bytes_out: int = 0
    bytes_in: int = 0
    reading: float | None = None  # seconds that reading the flow's source took (its first stage); `None`: not known
    held: float = 0.0  # seconds that the source was held back, since the buffer was full
    waited: float = 0.0  # seconds that the consumer waited for results
    flowing: float | None = None  # when it had the first of them: from then on it is counted who holds up whom
    consumed: int = 0  # results that the consumer was handed, and is done with
    consuming: float = 0.0  # seconds that it took for them
    peak_memory: int = 0
    seats: int = 0
    outcome: str = ""  # of an inline run: "done", "failed" or, left before its end, nothing
    began: float | None = None
    ended: float | None = None
    kept: deque[Failure] = field(default_factory=lambda: deque(maxlen=KEPT))
    moves: list[Change] = field(default_factory=list)

    def start(self) -> None:
        """The stage begins now."""
        self.began = time.perf_counter()

    def end(self) -> None:
        """The stage ended now, unless it had."""
        if self.ended is None:
            self.ended = time.perf_counter()

    @property
    def flowed(self) -> float:
        """Seconds since its consumer had the first results, until it ended."""
        return (self.ended or time.perf_counter()) - self.flowing if self.flowing is not None else 0.0

    @property
    def wall(self) -> float:
        """Seconds since it began, until it ended."""
        if self.began is None:
            return 0.0
        return (self.ended or time.perf_counter()) - self.began

    def chose(self, placement: Placement, reasons: Sequence[str]) -> None:
        """It runs under `placement` from now on, for `reasons`."""
        self.placement, self.reasons = placement, tuple(reasons)
        self._remember(Change(self.wall, placement, tuple(reasons)))

    def resized(self, placement: Placement, why: str) -> None:
        """It has another width from now on."""
        self.placement = placement
        self._remember(Change(self.wall, placement, (why,), resized=True))

    def _remember(self, change: Change) -> None:
        if len(self.moves) >= CHANGES:  # of very many, the first and the last are worth keeping
            del self.moves[CHANGES // 2]
        self.moves.append(change)
