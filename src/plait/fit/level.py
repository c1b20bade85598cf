"""What is measured at one width: completions in a window, and the goodput that they tell of."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Level", "Window"]


@dataclass(frozen=True, slots=True)
class Level:
    """A width, the goodput (successes a second) that was measured there, and the blur of that."""

    width: int
    goodput: float
    blur: float = 0.0


@dataclass(slots=True)
class Window:
    """Completions, counted."""

    items: int = 0
    failed: int = 0
    seconds: float = 0.0
    batches: int = 0
    squares: float = 0.0  # of the batches' mean seconds, weighted by their items

    def add(self, items: int, failed: int, seconds: float) -> None:
        """`items` more, which took `seconds` together; `failed` of them failed."""
        self.items += items
        self.failed += failed
        self.seconds += seconds
        self.batches += 1
        self.squares += seconds * seconds / items

    @property
    def each(self) -> float:
        """Mean seconds of an item."""
        return max(self.seconds, 1e-12) / self.items

    @property
    def share(self) -> float:
        """Share of items that failed."""
        return self.failed / self.items

    @property
    def spread(self) -> float:
        """Relative variance of an item's seconds."""
        if self.batches < 2 or self.seconds <= 0:
            return 0.0
        between = max(0.0, self.squares - self.seconds * self.each) / (self.batches - 1)
        return between / self.each**2
