"""`Settling`: what a task gets that wants the store's transaction, where there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plait.errors import Stale
from plait.jobs.protocol import Event
from plait.jobs.records import Outcome

__all__ = ["Settling"]


class Settling:
    """Settles one job. See `store.Transaction`.

    Parameters:
        settle: takes outcomes; the positions of those that were refused.
    """

    connection = None

    def __init__(self, settle: Callable[[Sequence[Outcome]], list[int]], job: int, token: int) -> None:
        self._settle, self._job, self._token = settle, job, token

    def finish(self, result: bytes | None, keep: float) -> None:
        """Settle."""
        outcome = Outcome(id=self._job, token=self._token, event=Event.SUCCEED, result=result, keep=keep)
        if self._settle([outcome]):
            raise Stale(self._job)
