"""Gates: limits and rates that all workers together keep. Which jobs may pass, and what of the others."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from plait.jobs.records import Rule
from plait.jobs.sql.schema import HELD, WAITING
from plait.jobs.sql.session import Session
from plait.jobs.sql.sweep import Sweep

__all__ = ["Gates", "free", "names", "open_gates"]


#: The lanes of the jobs that a gate holds, found by leaps through the index however many jobs there are. Those of
#: paused queues come last: a place is of no use to them, and others may wait for it.
_HOLDING = (
    f"WITH RECURSIVE holding (lane) AS (SELECT min(lane) FROM plait_job WHERE held = ? AND state = {HELD} UNION ALL "
    f"SELECT (SELECT min(lane) FROM plait_job WHERE held = ? AND state = {HELD} AND lane > holding.lane) "
    "FROM holding WHERE holding.lane IS NOT NULL) "
    "SELECT id FROM plait_lane WHERE id IN (SELECT lane FROM holding) "
    "ORDER BY queue IN (SELECT queue FROM plait_paused), rank, id"
)


#: Gates that are looked at in one go.
GATES = 100
#: So many gates that hold jobs, when those of rates open, and whether nobody has a place there; found by leaps, too.
_GATES = (
    f"WITH RECURSIVE gates (gate, rest) AS (SELECT (SELECT min(held) FROM plait_job WHERE state = {HELD} "
    f"AND held > ?), {GATES} UNION ALL "
    f"SELECT (SELECT min(held) FROM plait_job WHERE state = {HELD} AND held > gates.gate), rest - 1 "
    "FROM gates WHERE gates.gate IS NOT NULL AND rest > 1) "
    "SELECT gate, (SELECT earliest FROM plait_pace WHERE plait_pace.gate = gates.gate), "
    "NOT EXISTS (SELECT 1 FROM plait_slot WHERE plait_slot.gate = gates.gate) FROM gates "
    "WHERE gate IS NOT NULL ORDER BY gate"
)


def names(rules: Sequence[Rule], gates: str | None) -> list[tuple[Rule, str]]:
    """The gates that a job has to pass: each rule with the name of its gate."""
    keyed = json.loads(gates) if gates else ()
    found = []
    for rule in rules:
        if rule.keyed is None:
            found.append((rule, rule.name))
        elif rule.keyed < len(keyed):
            found.append((rule, f"{rule.name}\x1f{keyed[rule.keyed]}"))
    return found


#: Seconds until a worker looks again that found another one claiming through the same gates.
BUSY = 0.02


class Gates:
    """The gates as they are in one transaction: asked for each job of a claim in turn.

    Attributes:
        opens: seconds until the first gate of a rate opens that has stopped a job; `None`: there is none.
    """

    def __init__(self, session: Session, now: float) -> None:
        self._session, self._now = session, now
        self._room: dict[str, int] = {}
        self._earliest: dict[str, float] = {}
        self._passed: dict[int, Sequence[tuple[Rule, str]]] = {}
        self.opens: float | None = None

    def enter(self, task: str) -> bool:
        """Whether this transaction, and no other, may let jobs of `task` through: what is counted has to hold."""
        if self._session.alone(f"gates of {task}"):
            return True
        self.opens = BUSY if self.opens is None else min(self.opens, BUSY)
        return False

    def stops(self, wanted: Sequence[tuple[Rule, str]]) -> tuple[Rule, str] | None:
        """The first gate that lets nothing through now; those without a key come first."""
        for rule, name in sorted(wanted, key=_keyed):
            if rule.cap and self._left(rule, name) <= 0:
                return rule, name
            if rule.interval and (wait := self._next(name) - self._now) > 0:
                self.opens = wait if self.opens is None else min(self.opens, wait)
                return rule, name
        return None

    def passed(self, job: int, wanted: Sequence[tuple[Rule, str]]) -> None:
        """A job goes through."""
        self._passed[job] = wanted
        for rule, name in wanted:
            if rule.cap:
                self._room[name] = self._left(rule, name) - 1
            if rule.interval:
                idle = self._now - (rule.burst - 1.0) * rule.interval
                self._earliest[name] = max(self._next(name), idle) + rule.interval

    def hold(self, held: Sequence[tuple[str, int]]) -> None:
        """Take jobs out of the way of the others: (gate, job)."""
        if held:
            self._session.many(
                f"UPDATE plait_job SET state = {HELD}, held = ? WHERE id = ? AND state = {WAITING}", held
            )

    def store(self, claimed: Collection[int]) -> None:
        """Write down which of the jobs that went through were indeed claimed."""
        slots, paced = [], {}
        for job, wanted in self._passed.items():
            for rule, name in wanted:
                if rule.cap and job in claimed:
                    slots.append((name, job))
                if rule.interval:
                    paced[name] = (name, self._earliest[name])
        self._passed.clear()
        if slots:
            self._session.many("INSERT INTO plait_slot (gate, job) VALUES (?, ?)", slots)
        if paced:
            self._session.many(
                "INSERT INTO plait_pace (gate, earliest) VALUES (?, ?) ON CONFLICT (gate) "
                "DO UPDATE SET earliest = excluded.earliest",
                sorted(paced.values()),
            )

    def _left(self, rule: Rule, name: str) -> int:
        room = self._room.get(name)
        if room is None:
            taken = self._session.rows("SELECT count(*) FROM plait_slot WHERE gate = ?", (name,))[0][0]
            room = self._room[name] = rule.cap - int(taken)
        return room

    def _next(self, name: str) -> float:
        earliest = self._earliest.get(name)
        if earliest is None:
            found = self._session.rows("SELECT earliest FROM plait_pace WHERE gate = ?", (name,))
            earliest = self._earliest[name] = float(found[0][0]) if found else 0.0
        return earliest


def _keyed(gate: tuple[Rule, str]) -> int:
    return -1 if gate[0].keyed is None else gate[0].keyed


def free(session: Session, jobs: Sequence[int]) -> None:
    """These jobs run no longer: give up their places, and let as many of those that wait for them come back."""
    if not jobs:
        return
    freed = session.rows("DELETE FROM plait_slot WHERE job IN ?* RETURNING gate", (list(jobs),))
    session.news = session.news or bool(freed)
    counts: dict[str, int] = {}
    for (gate,) in freed:
        counts[gate] = counts.get(gate, 0) + 1
    for gate, count in sorted(counts.items()):
        _come_back(session, gate, count)


def _come_back(session: Session, gate: str, count: int) -> None:
    """Have the first of those that a gate holds wait again, higher priorities first; those of paused queues last."""
    for (lane,) in session.rows(_HOLDING, (gate, gate)):
        if count > 0:
            count -= session.run(  # materialised: else PostgreSQL may run the inner query again for each row
                f"WITH next AS MATERIALIZED (SELECT id FROM plait_job WHERE held = ? AND lane = ? AND state = {HELD} "
                f"ORDER BY vt, id LIMIT ?{session.unlocked}) UPDATE plait_job SET state = {WAITING}, held = NULL "
                f"WHERE state = {HELD} AND id IN (SELECT id FROM next)",
                (gate, lane, count),
            )


def open_gates(session: Session, now: float, sweep: Sweep, most: int = 64) -> float | None:
    """Let jobs come back to some of the gates that may have room; seconds until it is worth calling again.

    Some of each gate come back, whatever holds them: a claim holds those again that still may not pass. So nothing has
    to be known here of rules, which may have changed or gone; jobs of a limit's gate come back as others end anyway
    (`free`), but for those of one where none runs.
    """
    after = sweep.after("gates", "")
    gates = session.rows(_GATES, (after,))
    sweep.ended("gates", gates[-1][0] if len(gates) == GATES else None)
    soonest: float | None = None
    for gate, earliest, empty in gates:
        wait = (earliest or 0.0) - now
        many = earliest is not None or empty
        if wait <= 0:
            session.news = True
            _come_back(session, gate, most if many else 1)
        if many:
            soonest = wait if soonest is None else min(soonest, wait)
    if len(gates) == GATES and session.rows("SELECT 1 FROM plait_pace LIMIT 1"):
        soonest = 0.0  # those of the next ones may be open
    return max(0.05, soonest) if soonest is not None else None
