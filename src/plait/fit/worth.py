"""Whether one level is worth more than another, and how sure that is. Pure."""

from __future__ import annotations

import math

from plait.fit.level import Level

__all__ = ["BLURRED", "SURE", "clear", "must", "ratio", "saves"]

#: What doubling the width must gain to pay; and where items take `SLOW` times as long as alone.
PAYS, PAYS_SLOW, SLOW = 1.2, 1.5, 3.0
#: What a trial of more must gain, and one of less keep.
GAINS, KEEPS = 1.12, 0.95
#: The blur (relative standard error) of a first level; standard errors that make an answer clear.
BLURRED, SURE = 0.1, 2.0
#: Seconds that growing must save of what is left.
SAVES = 0.025


def ratio(level: Level, before: Level | None) -> float:
    """Goodput of a level, that of the one before being 1."""
    if before is None or not before.goodput:
        return 2.0 if level.goodput else 1.0
    return level.goodput / before.goodput


def must(level: Level, before: Level | None, slowed: float, *, trying: bool) -> float:
    """What the goodput of `level` must be, that of the one before being 1.

    Parameters:
        slowed: how many times as long as alone its items take.
        trying: it is a trial: what gains, or saves as much, is kept.
    """
    before = before or level
    if trying:
        return GAINS if level.width > before.width else KEEPS
    pays = PAYS_SLOW if slowed > SLOW else PAYS
    return pays ** max(0.1, math.log2(max(1.0, level.width / before.width)))


def clear(level: Level, before: Level | None, needed: float, *, holding: bool) -> bool:
    """Whether more completions would hardly change the answer."""
    if holding or before is None or not before.goodput or not level.goodput:
        return level.blur <= (BLURRED if holding else 2 * BLURRED)
    return abs(math.log(ratio(level, before) / needed)) >= SURE * math.hypot(level.blur, before.blur)


def saves(width: int, waiting: int, best: Level | None) -> bool:
    """Whether begun at once, `waiting` items would be over noticeably sooner than as those at `width` end."""
    each = width / best.goodput if best is not None and best.goodput else math.inf
    return waiting > 0 and each * waiting / width / 2 >= SAVES
