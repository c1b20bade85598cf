"""`Pace`: how fast a count rises, and when it will be where it is going."""

from __future__ import annotations

from collections import deque

__all__ = ["Pace", "clock", "per_second"]

#: The rate shown is that of the last seconds: it follows a run that speeds up, without trembling.
RATE_SECONDS = 6.0


class Pace:
    """A rate over the last seconds.

    Parameters:
        began: when the count was 0, in seconds of any clock; later instants are of the same one.
    """

    def __init__(self, began: float) -> None:
        self._seen: deque[tuple[float, int]] = deque([(began, 0)])

    def rate(self, now: float, count: int) -> float:
        """How much a second it rose lately, being `count` now."""
        seen = self._seen
        seen.append((now, count))
        while len(seen) > 2 and seen[1][0] < now - RATE_SECONDS:
            seen.popleft()
        then, before = seen[0]
        return max(0, count - before) / (now - then) if now > then else 0.0


def per_second(rate: float) -> str:
    """`"312/s"`, `"4.5/s"`, `"3.0/min"`."""
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 0.1 or rate == 0 else f"{rate * 60:.1f}/min"


def clock(seconds: float) -> str:
    """`"0:07"`, `"1:02:03"`."""
    minutes, second = divmod(int(seconds + 0.5), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
