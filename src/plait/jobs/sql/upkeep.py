"""Upkeep: what is kept no longer is forgotten, gates are opened, workers whose lease has run out are recovered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from plait.jobs.losses import Loss
from plait.jobs.protocol import LEASE
from plait.jobs.sql.enqueue import more_of
from plait.jobs.sql.gates import open_gates
from plait.jobs.sql.session import Session
from plait.jobs.sql.settle import release
from plait.jobs.sql.sweep import STRETCH, Sweep
from plait.jobs.sql.workers import LEFT, is_unrenewed, leases, recover

__all__ = ["Outage", "prune", "upkeep"]

#: Upkeeps in a row that may come late before it is no outage but a slow worker, which must recover others all the same.
SLOW = 3
#: Seconds by which the store's clock may be off what it should be before that is a jump; and seconds after one until
#: all others have noticed it, and renewed their leases by the new time.
JUMP, NOTICED = 2.0, 3 * LEASE


class Outage:
    """Whether leases may have run out only because nobody could renew them: the store was away, locked, or full.

    After one, everybody has the time of a lease to renew theirs, lest all workers lose all their jobs at once. The same
    goes for a store whose clock was set: for as long as some do not know, they renew, and look at, leases by the old
    time.

    Parameters:
        clock: seconds by a clock that nobody sets. jump: seconds by which the store's may be set unnoticed.

    Concurrency: belongs to the thread that does upkeep.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, jump: float = JUMP) -> None:
        self._clock, self._jump = clock, jump
        self._tended: float | None = None
        self._began = 0.0
        self._gaps = 0
        self._until = float("-inf")
        self._ahead: float | None = None  # the store's clock, of the other one
        self._leases: dict[int, tuple[float, float]] = {}  # until when, and since when that is so

    def lost(self, leases: Mapping[int, float], now: float) -> list[int]:
        """To be asked in each transaction of upkeep: the workers whose leases have run out, as far as that counts.

        Parameters:
            leases: until when each worker has its own.
        """
        self._began = began = self._clock()
        if self._was_set(leases, now - began):
            self._until = max(self._until, began + NOTICED)
        seen = self._leases
        self._leases = {w: seen[w] if w in seen and seen[w][0] == end else (end, began) for w, end in leases.items()}
        if began < self._until or (self._missed() and self._gaps < SLOW):
            return []
        # Those that end later than any can are of a time before the clock was set back: who lives has renewed them.
        far = now + 2 * LEASE
        return [w for w, (end, since) in self._leases.items() if end <= now or (end > far and began - since > NOTICED)]

    def _was_set(self, leases: Mapping[int, float], ahead: float) -> bool:
        """Whether the store's clock was set, as seen here, or by those who have renewed a lease to an earlier end."""
        before, self._ahead = self._ahead, ahead
        if before is not None and abs(ahead - before) > self._jump:
            return True
        seen = self._leases
        return any(LEFT < end < seen[worker][0] - self._jump for worker, end in leases.items() if worker in seen)

    def tended(self) -> None:
        """That transaction is committed."""
        self._gaps = self._gaps + 1 if self._missed() else 0
        if 0 < self._gaps <= SLOW:
            self._until = self._began + LEASE
        self._tended = self._began

    def _missed(self) -> bool:
        return self._tended is not None and self._began - self._tended > LEASE / 2


def upkeep(session: Session, now: float, sweep: Sweep, outage: Outage) -> tuple[float | None, list[Loss]]:
    """See `Store.upkeep`; and which workers were found dead."""
    known = leases(session)
    dead = (worker for worker in outage.lost(known, now) if is_unrenewed(session, worker, known[worker]))
    losses = [recover(session, worker, now) for worker in dead]
    soonest = open_gates(session, now, sweep)
    return 0.0 if prune(session, now, sweep) else soonest, losses


def prune(session: Session, now: float, sweep: Sweep) -> bool:
    """Forget a bite of what is kept no longer; whether there may be more. Parts stay until their group is done with.

    Nowhere is waited for another transaction: it may be a client's own, and stay open for long.
    """
    here, values = sweep.stretch(session, "plait_done", "until, id", (float("-inf"), 0), "AND until <= ?", now)
    gone = session.rows(
        f"DELETE FROM plait_done WHERE id IN (SELECT id FROM plait_done WHERE {here} AND until <= ? AND (grp IS NULL "
        "OR NOT EXISTS (SELECT 1 FROM plait_grp WHERE plait_grp.id = plait_done.grp AND (open > 0 OR then_ IS NOT "
        "NULL)))"
        f"{session.unlocked}) RETURNING more",
        (*values, now),
    )
    for (more,) in gone:
        if more is not None and (group := more_of(more).of):
            release(session, group)
    keys = session.run(
        "DELETE FROM plait_uniq WHERE key IN "
        f"(SELECT key FROM plait_uniq WHERE until <= ? ORDER BY until LIMIT ?{session.unlocked})",
        (now, STRETCH),
    )
    here, values = sweep.stretch(session, "plait_grp", "id", (0,))
    session.run(
        f"DELETE FROM plait_grp WHERE id IN (SELECT id FROM plait_grp WHERE {here} AND open <= 0 AND then_ IS NULL "
        f"AND NOT EXISTS (SELECT 1 FROM plait_done WHERE plait_done.grp = plait_grp.id){session.unlocked})",
        values,
    )
    here, values = sweep.stretch(session, "plait_fair", "lane, key", (0, ""))
    session.run(  # keys that their lane's virtual time has overtaken are like new ones
        f"DELETE FROM plait_fair WHERE (lane, key) IN (SELECT lane, key FROM plait_fair WHERE {here} AND key <> '' AND "
        "vt <= (SELECT vt FROM plait_fair AS its WHERE its.lane = plait_fair.lane AND its.key = '')"
        f"{session.unlocked})",
        values,
    )
    here, values = sweep.stretch(session, "plait_pace", "gate", ("",))
    session.run(
        f"DELETE FROM plait_pace WHERE gate IN (SELECT gate FROM plait_pace WHERE {here} AND earliest < ?"
        f"{session.unlocked})",
        (*values, now - 86_400.0),
    )
    return max(len(gone), keys) >= STRETCH
