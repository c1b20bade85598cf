"""Waiting for claims that are under way when a queue is paused. Nobody else waits for it, as they would for a lock."""

from __future__ import annotations

from plait.jobs.sql.session import Session

__all__ = ["are_under_way", "claims_under_way"]

#: Transactions that have read which queues are paused, and may claim, for which they keep their worker's row: none that
#: only reads, like a backup.
_CLAIMING = (
    "SELECT DISTINCT virtualtransaction FROM pg_locks WHERE relation = to_regclass('plait_paused') AND granted AND "
    "pid <> pg_backend_pid() AND virtualtransaction IN (SELECT virtualtransaction FROM pg_locks "
    "WHERE relation = to_regclass('plait_worker') AND mode = 'RowShareLock')"
)


def claims_under_way(session: Session) -> list[str]:
    """Transactions, by names that are not used again soon, that may still claim jobs of a queue paused just before."""
    return [row[0] for row in session.rows(_CLAIMING)]


def are_under_way(session: Session, claims: list[str]) -> bool:
    """Whether any of them still is."""
    return bool(session.rows("SELECT 1 FROM pg_locks WHERE virtualtransaction IN ?* LIMIT 1", (claims,)))
