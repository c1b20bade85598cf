"""SQLite, where a transaction may be undone when all of its work is done: nothing of it may be left."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from plait.errors import StoreError
from plait.jobs.sql.session import Session
from plait.jobs.sqlite.store import SqliteStore

T = TypeVar("T")


class ShakyStore(SqliteStore):
    """A store whose transactions are undone now and then, at their very end."""

    #: Asked at the end of each.
    undoes: Callable[[], bool] = staticmethod(lambda: False)

    def write(self, work: Callable[[Session], T], *, durable: bool = True) -> T:
        """Do `work`, and perhaps undo it."""

        def all_of_it(session: Session) -> T:
            result = work(session)
            if self.undoes():
                raise StoreError("the transaction was undone")
            return result

        return super().write(all_of_it, durable=durable)
