"""How many failures a run may have."""

from __future__ import annotations

__all__ = ["SAMPLE", "exhausted"]

#: A share is judged only once this many items have finished: the first item's failure alone is 100 %.
SAMPLE = 20


def exhausted(failures: int, finished: int, limit: float | None, *, ended: bool = False) -> bool:
    """Whether `failures` of `finished` items are more than `limit` allows.

    Parameters:
        limit: a count (`int`) or a share of the finished items (`float` below 1); `None`: any number.
        ended: the run has no more items, so a share is judged however few there were.
    """
    if limit is None:
        return False
    if isinstance(limit, int):
        return failures > limit
    return (ended or finished >= SAMPLE) and failures > limit * finished
