"""Upkeep: what is kept no longer is forgotten, gates are opened, workers whose lease has run out are recovered."""

from __future__ import annotations

from plait.jobs.sql.gates import open_gates
from plait.jobs.sql.session import Session
from plait.jobs.sql.workers import expired, recover

__all__ = ["prune", "upkeep"]

#: Rows that are forgotten at once: the transaction stays short.
BITE = 2000


def upkeep(session: Session, now: float) -> float | None:
    """See `Store.upkeep`."""
    for worker in expired(session, now):
        recover(session, worker, now)
    soonest = open_gates(session, now)
    return 0.0 if prune(session, now) else soonest


def prune(session: Session, now: float) -> bool:
    """Forget a bite of what is kept no longer; whether there may be more. Parts stay until their group is done with."""
    gone = session.run(
        "DELETE FROM plait_done WHERE id IN (SELECT id FROM plait_done WHERE until <= ? AND (grp IS NULL OR NOT EXISTS "
        "(SELECT 1 FROM plait_grp WHERE plait_grp.id = plait_done.grp AND (open > 0 OR then_ IS NOT NULL))) "
        "ORDER BY until LIMIT ?)",
        (now, BITE),
    )
    session.run("DELETE FROM plait_uniq WHERE until <= ?", (now,))
    session.run(
        "DELETE FROM plait_grp WHERE open <= 0 AND then_ IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM plait_done WHERE plait_done.grp = plait_grp.id)"
    )
    session.run(  # keys that their lane's virtual time has overtaken are like new ones
        "DELETE FROM plait_fair WHERE key <> '' AND vt <= (SELECT vt FROM plait_fair AS its "
        "WHERE its.lane = plait_fair.lane AND its.key = '')"
    )
    return gone >= BITE
