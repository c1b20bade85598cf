"""Ratios of runs that were neighbours in time, so that a machine that speeds up and slows down misleads nobody."""

from __future__ import annotations

import os
import statistics

from benchmarks.harness import Medians, NotMeasured

__all__ = ["CORES", "ratio"]

CORES = len(os.sched_getaffinity(0))


def ratio(medians: Medians, cell: str, other: str, key: str = "wall") -> float:
    """Median over the turns of `cell`'s figure by `other`'s.

    Raises:
        NotMeasured: one of them has none.
    """
    upper, lower = medians.values(cell, key), medians.values(other, key)
    if len(upper) != len(lower) or not lower:  # one gave up on the way: its turns cannot be told apart
        return medians.of(cell, key) / medians.of(other, key)
    if min(lower) <= 0:
        raise NotMeasured(f"{cell}: no ratio to {min(lower):g}")
    return statistics.median(map(float.__truediv__, upper, lower))
