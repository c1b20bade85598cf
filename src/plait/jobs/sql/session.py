"""`Session`: an open transaction of either database, so that most SQL is written once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

__all__ = ["Row", "Session"]

Row = tuple[Any, ...]


class Session(Protocol):
    """Runs SQL inside of one transaction. `?` stands for a value; `IN ?*` for being one of a list of numbers.

    Attributes:
        unlocked: what ends a query for rows that are to be changed, those left out that another transaction has.
    """

    unlocked: str

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a statement's result."""
        ...

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement without a result; how many rows it changed."""
        ...

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each of `rows`."""
        ...

    def number_from(self, counter: str, last: int) -> None:
        """Have the next new number of a counter be above `last`."""
        ...

    def ids(self, counter: str, count: int) -> Sequence[int]:
        """`count` new numbers of a `"job"`, `"lane"`, `"grp"` or `"worker"`, ascending; they are never used again."""
        ...
