"""How many jobs of a task a worker wants: enough for its free places, and little that waits behind them. Pure."""

from __future__ import annotations

__all__ = ["AHEAD", "MOST", "appetite"]

#: Seconds of measured work that may be claimed ahead of the free places.
AHEAD = 0.05
#: Jobs of one task that a worker has at most, however short they are.
MOST = 2000
#: Share of the places that must be free before more are claimed: few large claims cost less than many small ones.
WORTH = 0.25


def appetite(slots: int, seconds: float | None, in_hand: int) -> int:
    """How many more jobs to claim.

    Parameters:
        slots: jobs of the task that can be in progress at once.
        seconds: what one takes, as measured; `None`: not known, then none waits behind another.
        in_hand: how many the worker has.
    """
    if seconds is None or slots < 1:
        return max(0, max(1, slots) - in_hand)
    whole = slots + int(min(MOST, AHEAD * slots / max(seconds, 1e-9)))
    free = min(whole, max(MOST, slots)) - in_hand
    return free if free >= max(1, int(WORTH * min(whole, MOST))) or (free > 0 and in_hand < slots) else 0
