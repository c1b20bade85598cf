"""What a crew's items can do, as far as that is known before they do it: how many, how much at once, how long."""

from __future__ import annotations

import math

from plait import machine
from plait.engine.rules import Rules
from plait.fit.choose import gil_seconds
from plait.fit.evidence import Evidence
from plait.fit.width import Width
from plait.placement import Placement

__all__ = ["cpu_of_an_item", "parts_of", "width_of"]

#: Items in progress at most: threads (each has a stack, and the system a limit), slots of a loop.
MOST_THREADS, MOST_SLOTS = 512, 8000
#: CPU share from which on items only compute, and from which on they do so as well.
COMPUTES, COMPUTE_TOO = 0.9, 0.15
#: Bytes by which an item makes this process grow, from which on memory bounds how many are in progress.
HEAVY = 1 << 20
#: CPU seconds of an item that are nothing: handing it over costs as much.
LITTLE = 5e-5


def width_of(placement: Placement, rules: Rules, known: Evidence | None, now: float, computed: float) -> Width | None:
    """What adapts the width; `None` where it is given, or there is nothing to adapt.

    Parameters:
        known: what was measured of the items. now: the clock. computed: seconds that they have computed by then.
    """
    if placement.style == "serial" or (isinstance(rules.model, Placement) and rules.model.width):
        return None
    if known is not None and known.cpu_share >= COMPUTES:
        return None  # as many as there are cores: that is known
    workers = placement.workers or 1
    most = (MOST_SLOTS if placement.style == "loop" else MOST_THREADS) * workers
    if rules.width is not None:
        most = min(most, rules.width * workers)
    if rules.buffer is not None:
        most = min(most, rules.buffer)
    if known is not None and known.growth > HEAVY:
        most = min(most, max(1, int(machine.memory_available() / 2 / known.growth)))
    alone = known.seconds_mean if known is not None and not known.unfinished else None
    usual = known.raised / known.items if known is not None and known.items else 0.0
    least = 1
    if known is not None and known.cpu_share >= COMPUTE_TOO:  # what keeps the cores busy is needed: that is known
        least = min(workers * (placement.width or 1), math.ceil(1.5 * machine.cores() / known.cpu_share))
    return Width((placement.width or 1) * workers, most, alone, usual, now, least, computed)


def parts_of(placement: Placement, known: Evidence | None) -> float:
    """How many seconds the items can compute in one, under a placement."""
    if placement.place != "here":
        return float(min(placement.workers or 1, machine.cores()))
    frees = known is not None and known.cpu_share >= 0.1
    frees = frees and known is not None and gil_seconds(known) < 0.5 * known.cpu_share * known.seconds_mean
    return float(machine.cores()) if placement.style == "threads" and frees else 1.0


def cpu_of_an_item(known: Evidence | None) -> float | None:
    """CPU seconds of an item, or of handing it over where that is more; `None`: not known."""
    return None if known is None or known.unfinished else max(known.cpu_share * known.seconds_mean, LITTLE)
