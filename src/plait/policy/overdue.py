"""Which attempts have run for too long, told from samples of what each slot has in hand."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

__all__ = ["Overdue", "tick_for"]


def tick_for(timeout: float) -> float:
    """Seconds between samples: fine enough to end an attempt within an eighth of its timeout, 5 to 250 ms."""
    return min(0.25, max(0.005, timeout / 8))


class Overdue:
    """Remembers since when each slot has shown the same attempt.

    An attempt is first seen after it began, so it is never called overdue early; it is called at most one sample late.

    Parameters:
        timeout: seconds that one attempt may take.
    """

    __slots__ = ("_seen", "timeout")

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._seen: dict[Hashable, tuple[int, float]] = {}

    def sample(self, seat: Hashable, words: Iterable[int], now: float) -> list[int]:
        """The attempts (words) of this seat that are overdue at `now`; 0 is an empty slot."""
        late = []
        for slot, word in enumerate(words):
            key = (seat, slot)
            if not word:
                self._seen.pop(key, None)
                continue
            known, since = self._seen.get(key, (0, 0.0))
            if known != word:
                self._seen[key] = (word, now)
            elif now - since >= self.timeout:
                late.append(word)
        return late

    def forget(self, seat: Hashable) -> None:
        """The seat is gone."""
        for key in [key for key in self._seen if isinstance(key, tuple) and key[0] == seat]:
            del self._seen[key]
