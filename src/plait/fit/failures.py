"""`Failures`: whether items fail because too many are in progress, or for reasons of their own. Pure.

more than usual ──> ease: a quarter of the width ──> they ceased:     grow, but less far for a while
                               ^                     as many as ever: the items' own, usual from now on
                               └── they go on ────── fewer, but still too many
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from plait.fit.level import Window

__all__ = ["CEASED", "GO_ON", "OWN", "Failures"]

#: Failures that are noise: a share, standard errors of the usual share; and how many there must be at least, among
#: how many items they are counted.
NOISE, ERRORS, FEW, COUNTED = 0.01, 4.0, 4, 64
#: How far to ease at once, and where it is known that a little less will do. A share of failures whose odds fall by
#: less than `RELIEF` there is the items' own.
EASE, A_LITTLE, RELIEF, MOST_FAIL = 4, 0.7, 3.0, 0.8
#: A share of failures up to which the usual one rises without easing: a higher one must prove to be the items' own.
SILENT = 0.03
#: What easing has shown.
CEASED, OWN, GO_ON = "failures ceased", "failures are the items' own", "failures go on"


@dataclass(slots=True)
class Failures:
    """What is known of a seat's failures.

    Parameters:
        usual: share of items that fail whatever the width.
    """

    usual: float = 0.0
    first: int = field(default=0, init=False)  # the width before easing
    gently: bool = field(default=False, init=False)  # a little less is tried
    _recent: Window = field(default_factory=Window, init=False)
    _odds: float = field(default=0.0, init=False)  # of failing, before easing
    _own: float = field(default=0.0, init=False)  # share of failures that proved to be the items' own
    _patience: float = field(default=0.0, init=False)  # seconds for which the usual share does not fall
    _excused: float = field(default=0.0, init=False)  # until then

    def alarming(self, items: int, failed: int, seconds: float, *, easing: bool) -> bool:
        """`items` more; whether more fail than usual, noise allowed for. Not while they are eased already."""
        seen, usual = self._recent, self.usual
        seen.add(items, failed, seconds)
        if seen.failed >= FEW and not easing:
            noise = ERRORS * math.sqrt(seen.items * usual * (1 - usual))
            if seen.failed > seen.items * (usual + NOISE) + noise:
                return True
        if seen.items >= COUNTED:
            self._recent = Window()
        return False

    def forget(self) -> None:
        """The width has changed: what failed before tells nothing of it."""
        self._recent = Window()

    def worth(self, seen: Window) -> float:
        """The part of the items that counts: failures beyond the usual share do not; unless nearly all fail."""
        return 1 - (seen.share if seen.share > MOST_FAIL else max(0.0, seen.share - self.usual))

    def learn(self, seen: Window, now: float) -> None:
        """A window without alarm: its failures are usual."""
        share = min(seen.share, max(SILENT, 1.3 * self._own))
        if share > self.usual or now >= self._excused:
            self.usual += 0.3 * (share - self.usual)

    def ease(self, width: int, *, gently: bool) -> int:
        """Failures rose at `width`: the width to try in its place."""
        share = self._recent.share
        self.first, self._odds, self.gently = width, share / max(1e-3, 1 - share), gently
        return max(1, int(width * A_LITTLE) if gently else width // EASE)

    def eased(self, width: int, seen: Window, now: float, took: float) -> str:
        """What the items in `seen`, at the lesser `width`, show: `CEASED`, `OWN` or `GO_ON`.

        Parameters:
            took: seconds that finding out took.
        """
        share = seen.share
        odds = share / max(1e-3, 1 - share)
        if seen.failed <= seen.items * self.usual + FEW / 2:
            return CEASED
        alike = odds * RELIEF > self._odds and share <= MOST_FAIL
        if width == 1 or (alike and not self.gently):
            self.usual = self._own = max(self.usual, min(share, MOST_FAIL))
            self._patience = max(2 * self._patience, 30 * took)
            self._excused = now + self._patience
            return OWN
        self._odds = self._odds if self.gently else odds
        return GO_ON

    def back(self, seen: Window) -> int:
        """The width for failures that proved to be the items' own: as before, unless nearly all fail."""
        return self.first if seen.share <= MOST_FAIL else 1
