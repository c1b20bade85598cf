"""`Session`: an open transaction of either database, so that most SQL is written once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

__all__ = ["Row", "Session"]

Row = tuple[Any, ...]


class Session(Protocol):
    """Runs SQL inside of one transaction. `?` stands for a value; `IN ?*` for being one of a list of numbers.

    Attributes:
        news: whether jobs became claimable in it, so that workers are to be woken; ends: whether any ended.
        unlocked: what ends a query for rows that are to be changed, those left out that another transaction has.
        locked: what ends a query for rows that are to be changed, and waits for other transactions that have them.
        kept: what ends a query for a row that must not go before this transaction ends; it may be changed meanwhile.
        going: what ends a query for a row that is to go, and waits for those that keep it.
    """

    news: bool
    ends: bool
    unlocked: str
    locked: str
    kept: str
    going: str

    def alone(self, name: str) -> bool:
        """Whether this transaction now has what is called `name` for itself, until it ends. Never waits."""
        ...

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a statement's result."""
        ...

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement without a result; how many rows it changed."""
        ...

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each of `rows`."""
        ...

    def try_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """The same, but for all of them left out where others hold what it needs for more than a moment."""
        ...

    def number_from(self, counter: str, last: int) -> None:
        """Have the next new number of a counter be above `last`."""
        ...

    def last(self, counter: str) -> int:
        """A number that is not below any that a counter has given."""
        ...

    def identity(self) -> int:
        """What tells this database's queue from others, whatever the URL by which it was opened."""
        ...

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Store many rows, in the fastest way there is. Others must not wait for this transaction."""
        ...

    def shut_out(self, table: str) -> None:
        """Wait until nobody has read `table` in a transaction that still runs, and let nobody until this one ends.

        Raises:
            StoreBusy: somebody has for too long; try again.
        """
        ...

    def seal(self) -> None:
        """Let no job be stored from now on, whatever a transaction saw when it began; wait for those that have.

        Raises:
            StoreBusy: one of them takes too long; try again.
        """
        ...

    def unseal(self) -> None:
        """The opposite."""
        ...

    def ids(self, counter: str, count: int) -> Sequence[int]:
        """`count` new numbers of a `"job"`, `"lane"`, `"grp"` or `"worker"`, ascending; they are never used again."""
        ...
