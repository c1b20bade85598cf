"""A worker's turn: it settles what was done and claims what comes next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from plait.jobs.records import Claimed, Turn, Want
from plait.jobs.sql.claim import DUE, Claims, Lane, make_due, wanted
from plait.jobs.sql.session import Session
from plait.jobs.sql.workers import is_leased

__all__ = ["turn"]


def turn(
    session: Session,
    worker: int,
    wants: Sequence[Want],
    queues: Collection[str],
    most: int,
    now: float,
    settle: Callable[[], list[int]] | None,
    claim: Callable[[Sequence[Want], Sequence[Lane], int], Claims],
) -> Turn:
    """See `Store.turn`. settle: settles the outcomes; the positions of those that were refused."""
    # First the lease, as whoever recovers this worker does: each would wait for the other else.
    may_claim = bool(wants) and is_leased(session, worker, now)
    refused = settle() if settle is not None else []
    due = _next_due(session, now)
    if due == 0.0:
        make_due(session, now)
        due = _next_due(session, now)
    jobs: list[Claimed] = []
    more, opens = False, None
    if may_claim:
        jobs, more, opens = claim(wants, wanted(session, wants, queues), most)
    soonest = min((wait for wait in (due, opens) if wait is not None), default=None)
    return Turn(tuple(refused), tuple(jobs), soonest, more)


def _next_due(session: Session, now: float) -> float | None:
    """Seconds until the next scheduled job's time comes."""
    found = session.rows(DUE)[0][0]
    return max(0.0, found - now) if found is not None else None
