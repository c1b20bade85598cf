"""How many items travel together: sized by time and bytes while running.

A chunk should be worth some milliseconds of work, so that what it costs to send is small beside it, and not more, so
that a skewed item strands few others.

Source: time-targeted batches as in joblib's auto-batching, guided self-scheduling for the tail (Polychronopoulos and
Kuck, 1987).
"""

from __future__ import annotations

__all__ = ["TARGET", "Sizer"]

#: Seconds of work that a chunk should be worth. Partial results stream back meanwhile, so it adds no latency.
TARGET = 0.016
#: Items above this count save nothing more per item (the cost of a chunk is some 150 us).
MOST = 8192
#: Bytes that a chunk may weigh: what fits a second-level cache, copied once.
HEAVY = 2 << 20
#: Seconds of work, items and bytes that may lie between source and consumer.
AHEAD, DEEPEST, AHEAD_BYTES = 1.0, 65536, 64 << 20
#: Seconds of an item from which on so many for each slot are enough.
LONG, EACH = 0.001, 8
#: One estimate may raise the size by this factor: a few fast items prove little about the next thousand.
GROWTH = 4


class Sizer:
    """Estimates seconds and bytes an item, and proposes the next chunk's size.

    Parameters:
        most: items that no chunk exceeds (a share of the buffer).
        target: seconds of work that a chunk should be worth.
    """

    __slots__ = ("bytes_per_item", "most", "seconds_per_item", "size", "target")

    def __init__(self, most: int = MOST, target: float = TARGET) -> None:
        self.most, self.target = max(1, min(most, MOST)), target
        self.size = 1
        self.seconds_per_item: float | None = None
        self.bytes_per_item: float | None = None

    def measured(self, items: int, seconds: float) -> None:
        """`items` items took `seconds` one after the other."""
        if items <= 0:
            return
        each = max(seconds / items, 1e-8)
        known = self.seconds_per_item
        # A rise is believed at once (a chunk too large strands items); a fall by degrees.
        self.seconds_per_item = each if known is None or each > known else 0.5 * known + 0.5 * each
        self._resize()

    def weighed(self, items: int, weight: int) -> None:
        """`items` items weighed `weight` bytes on their way, there or back."""
        if items <= 0:
            return
        each = weight / items
        known = self.bytes_per_item
        self.bytes_per_item = each if known is None or each > known else 0.8 * known + 0.2 * each

    def _resize(self) -> None:
        each = self.seconds_per_item or self.target
        wanted = self.target / each
        if self.bytes_per_item:
            wanted = min(wanted, HEAVY / self.bytes_per_item)
        self.size = int(max(1, min(wanted, self.size * GROWTH, self.most)))

    def worth(self, seconds: float) -> int:
        """How many items take `seconds`; 0 while nothing is known."""
        return int(min(self.most, seconds / self.seconds_per_item)) if self.seconds_per_item else 0

    def buffer(self, slots: int) -> int:
        """Items to have between source and consumer: a second's worth for `slots` slots, within the bounds."""
        least = 2 * slots + 8
        rate = slots / self.seconds_per_item if self.seconds_per_item else least
        wanted = max(256, min(rate * AHEAD, DEEPEST))
        if (self.seconds_per_item or 0.0) > LONG:  # some for each slot will do: there may be very many slots
            wanted = min(wanted, 256 + EACH * slots)
        if self.bytes_per_item:
            wanted = min(wanted, AHEAD_BYTES / self.bytes_per_item)
        return int(max(least, wanted))

    @property
    def chunk_seconds(self) -> float:
        """What a chunk is expected to take; 0 while nothing is known."""
        return self.size * (self.seconds_per_item or 0.0)
