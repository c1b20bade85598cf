"""A worker's turn: it settles what was done and claims what comes next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from plait.jobs.records import Claimed, Turn, Want
from plait.jobs.sql.claim import Claims, Lane, look, make_due, next_due, wanted
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
    may_claim = bool(wants) and (settle is None or is_leased(session, worker, now))
    refused = settle() if settle is not None else []
    due, lanes = look(session, worker, now) if may_claim else (next_due(session), None)
    if due is not None and due <= now:
        make_due(session, now)
        due = next_due(session)
    jobs: list[Claimed] = []
    more, opens = False, None
    if lanes is not None:
        jobs, more, opens = claim(wants, wanted(lanes, wants, queues), most)
    waits = (max(0.0, due - now) if due is not None else None, opens)
    return Turn(tuple(refused), tuple(jobs), min((wait for wait in waits if wait is not None), default=None), more)
