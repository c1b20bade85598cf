"""Pure Python that takes a known number of rounds: the same work, wherever and beside whatever it runs."""

from __future__ import annotations

from functools import cache

__all__ = ["MILLISECOND", "burn", "burnt"]

#: Rounds that take about a millisecond on the machines of today.
MILLISECOND = 20_000


def burn(rounds: int) -> int:
    """Compute with the GIL held; about 50 ns a round."""
    total = 0
    for number in range(rounds):
        total += number * number % 7
    return total


@cache
def burnt(rounds: int) -> int:
    """What `burn` returns, for checks."""
    return burn(rounds)
