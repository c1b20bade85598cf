"""`Turn`: whether items have begun to compute far more than those before them. Pure.

Told of every result, it needs nobody to wake up and look: threads that compute leave a watcher the GIL last of all.
And it counts what items compute, not how long they take or how many end: on a machine that others use, too, items
that wait take longer and end more rarely, and are the same items still.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from plait.fit.slump import Sums

__all__ = ["Turn"]

#: CPU seconds that are worth a comparison, of how many items at least; and how much more of it each must take.
WORTH, SOME, MORE = 0.04, 6, 2.5
#: Seconds after which items that are as usual are put aside: they must not be mixed up with those that come then.
ASIDE = 0.04


@dataclass(slots=True)
class Turn:
    """Compares the latest items with those before.

    Parameters:
        since: when counting begins, in seconds of any clock. usual: CPU seconds of an item; `None`: not known.
    """

    since: float
    usual: float | None = None
    _items: int = field(default=0, init=False)
    _busy: float = field(default=0.0, init=False)
    _cpu: float = field(default=0.0, init=False)
    _suspect: bool = field(default=False, init=False)

    def heard(self, now: float, items: int, busy: float, cpu: float) -> Sums | None:
        """`items` ended, which were in progress for `busy` seconds and computed for `cpu`.

        Returns: if they are others, since when they all are, and what they have come to.
        """
        self._items += items
        self._busy += busy
        self._cpu += cpu
        if self._cpu < WORTH or self._items < SOME:
            if now - self.since > ASIDE and self.usual is not None and self._cpu < MORE * self.usual * self._items:
                self._aside(now)
            return None
        latest, usual = Sums(self.since, self._items, self._busy, self._cpu), self.usual
        self._aside(now)
        each = latest.cpu / latest.items
        if usual is None or each <= MORE * usual:
            self.usual, self._suspect = each if usual is None else usual + 0.2 * (each - usual), False
            return None
        if not self._suspect:  # some of these may still be of the old kind
            self._suspect = True
            return None
        self.usual, self._suspect = each, False
        return latest

    def _aside(self, now: float) -> None:
        self.since, self._items, self._busy, self._cpu = now, 0, 0.0, 0.0
