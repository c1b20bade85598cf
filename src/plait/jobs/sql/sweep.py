"""`Sweep`: going through tables a stretch at a time, so that what an upkeep costs does not grow with what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plait.jobs.sql.session import Session

__all__ = ["STRETCH", "Sweep"]

#: Rows that are looked at in one go.
STRETCH = 1000


class Sweep:
    """Where the last stretch of each table ended; after the last one it begins anew.

    Concurrency: belongs to who has the transaction of an upkeep; what two go through at once is looked at twice.
    """

    def __init__(self) -> None:
        self._after: dict[str, Sequence[Any]] = {}

    def stretch(
        self, session: Session, table: str, key: str, start: Sequence[Any], where: str = "", *values: Any
    ) -> tuple[str, tuple[Any, ...]]:
        """SQL that holds for the rows of the next stretch, and its values.

        Parameters:
            key: columns that an index has in this order. start: below all there are.
            where: which rows count at all; its values follow.
        """
        after = self._after.pop(table, start)
        marks = f"({', '.join('?' * len(start))})"
        begin = f"({key}) > {marks}"
        last = session.rows(
            f"SELECT {key} FROM {table} WHERE {begin} {where} ORDER BY {key} LIMIT 1 OFFSET ?",
            (*after, *values, STRETCH - 1),
        )
        if not last:
            return begin, tuple(after)
        self._after[table] = last[0]
        return f"{begin} AND ({key}) <= {marks}", (*after, *last[0])

    def after(self, what: str, start: str) -> str:
        """Where to go on in what is gone through in another way."""
        found: str = self._after.get(what, (start,))[0]
        return found

    def ended(self, what: str, at: str | None) -> None:
        """How far that was; `None`: to the end."""
        if at is None:
            self._after.pop(what, None)
        else:
            self._after[what] = (at,)
