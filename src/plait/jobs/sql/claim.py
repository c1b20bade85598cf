"""Claiming: the next jobs of the tasks that a worker wants, in order, as far as their gates let them through."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from plait.jobs.protocol import State
from plait.jobs.records import Claimed, Part, Rule, Want
from plait.jobs.sql.enqueue import more_of
from plait.jobs.sql.gates import Gates, names
from plait.jobs.sql.schema import NAMES, RUNNING, SCHEDULED, WAITING
from plait.jobs.sql.session import Row, Session

__all__ = [
    "TAKEN",
    "Claims",
    "Lane",
    "Turns",
    "claim",
    "claimed",
    "look",
    "make_due",
    "next_due",
    "parts_of",
    "wanted",
]

#: The columns of a claimed job, in order.
TAKEN = "id, args, token, attempt, crashes, created, key, more, vt"
_TAKE = (
    f"UPDATE plait_job SET state = {RUNNING}, token = token + 1, attempt = attempt + 1, worker = ?, started = ?, "
    f"begun = NULL WHERE state = {WAITING} AND id IN "
)
#: That `gates` is set says that places may have to be given up (`settle.FOLLOWS`).
_TAKE_GATED = _TAKE.replace("SET ", "SET gates = coalesce(gates, '[]'), ", 1)
#: Jobs that are looked at for each that a task with rules may have.
LOOKED_AT = 4


class Lane(msgspec.Struct, frozen=True, gc=False):
    """The waiting jobs of one task in one queue with one rank."""

    id: int
    queue: str
    task: str
    rank: int
    alone: int


class Turns:
    """Which lanes had their turn last: those of one priority take turns, else the first could starve all others."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}
        self._count = 0

    def in_order(self, lanes: Sequence[Lane]) -> list[Lane]:
        """The highest priority first; then those that have waited longest for their turn."""
        return sorted(lanes, key=lambda lane: (lane.rank, self._last.get(lane.id, 0), lane.id))

    def served(self, lane: Lane) -> None:
        """It has had its turn."""
        self._count += 1
        self._last[lane.id] = self._count


def make_due(session: Session, now: float, most: int = 1000) -> int:
    """Have up to `most` jobs wait whose time has come; another transaction may be doing the same."""
    return session.run(
        f"UPDATE plait_job SET state = {WAITING} WHERE state = {SCHEDULED} AND id IN (SELECT id FROM plait_job "
        f"WHERE state = {SCHEDULED} AND run_at <= ? ORDER BY run_at LIMIT ?{session.unlocked})",
        (now, most),
    )


#: Jobs, whether there may be more, and seconds until a gate opens.
Claims = tuple[list[Claimed], bool, float | None]
_DUE = f"SELECT min(run_at) FROM plait_job WHERE state = {SCHEDULED}"


def next_due(session: Session) -> float | None:
    """When the time of the next scheduled job comes."""
    found: float | None = session.rows(_DUE)[0][0]
    return found


def look(session: Session, worker: int, now: float) -> tuple[float | None, list[Lane] | None]:
    """When the next scheduled job's time comes, and the lanes from which may be claimed; `None`: the worker may not.

    One statement, since on a server each is a trip. As for `is_leased`, nobody recovers the worker before that is
    committed.
    """
    rows = session.rows(
        f"WITH mine AS MATERIALIZED (SELECT 1 FROM plait_worker WHERE id = ? AND until > ?{session.kept}) "
        f"SELECT id, queue, task, rank, alone, ({_DUE}), (SELECT count(*) FROM mine) FROM (SELECT 1) AS whatever "
        "LEFT JOIN plait_lane ON queue NOT IN (SELECT queue FROM plait_paused) "
        "AND NOT EXISTS (SELECT 1 FROM plait_moved) ORDER BY id",
        (worker, now),
    )
    due, leased = rows[0][5:]
    return due, [Lane(*row[:5]) for row in rows if row[0] is not None] if leased else None


def wanted(lanes: Sequence[Lane], wants: Sequence[Want], queues: Collection[str]) -> list[Lane]:
    """Those of the wanted tasks, in `queues` (empty: all)."""
    tasks = {(want.task, int(want.alone)) for want in wants if want.count > 0}
    return [lane for lane in lanes if (lane.task, lane.alone) in tasks and (not queues or lane.queue in queues)]


Take = Callable[[Session, Lane, int, int, float], list[Row]]


def take(session: Session, lane: Lane, count: int, worker: int, now: float) -> list[Row]:
    """Claim the first `count` waiting jobs of a lane; their rows (`TAKEN`), in no order."""
    return session.rows(
        f"{_TAKE} (SELECT id FROM plait_job WHERE lane = ? AND state = {WAITING} ORDER BY vt, id LIMIT ?) "
        f"RETURNING {TAKEN}",
        (worker, now, lane.id, count),
    )


def claim(
    session: Session,
    worker: int,
    wants: Sequence[Want],
    lanes: Sequence[Lane],
    most: int,
    now: float,
    take: Take = take,
    *,
    turns: Turns,
) -> Claims:
    """See `Store.turn`. Also: whether jobs may have been left, and seconds until a gate that stopped some opens."""
    left = {(want.task, int(want.alone)): want.count for want in wants if want.count > 0}
    rules = {want.task: want.rules for want in wants if want.rules}
    gates = Gates(session, now)
    found: list[Claimed] = []
    times: list[tuple[int, float]] = []
    more = False
    for lane in turns.in_order(lanes):
        count = min(left[lane.task, lane.alone], most - len(found))
        if count <= 0:
            more = True
            continue
        if lane.task in rules:
            rows, rest = _through_gates(session, lane, count, worker, now, gates, rules[lane.task])
        else:
            rows = take(session, lane, count, worker, now)
            rest = len(rows) == count
        more = more or rest
        left[lane.task, lane.alone] -= len(rows)
        if rows:
            turns.served(lane)
        rows.sort(key=_in_order)
        if rows and rows[-1][8] > 0:
            times.append((lane.id, rows[-1][8]))
        found += [claimed(session, lane, row) for row in rows]
    if times:
        _advance(session, times)
    return found, more, gates.opens


def _in_order(row: Row) -> Any:
    return row[8], row[0]


def _advance(session: Session, times: list[tuple[int, float]]) -> None:
    """A lane's virtual time is that of its job that was claimed last.

    All at the end and in one order for everybody: else workers that claim from the same lanes would wait in a circle.
    """
    session.many(
        "INSERT INTO plait_fair (lane, key, vt) VALUES (?, '', ?) ON CONFLICT (lane, key) "
        "DO UPDATE SET vt = excluded.vt WHERE plait_fair.vt < excluded.vt",
        sorted(times),
    )


def _through_gates(
    session: Session, lane: Lane, count: int, worker: int, now: float, gates: Gates, rules: Sequence[Rule]
) -> tuple[list[Row], bool]:
    """Claim jobs that their gates let through, hold those that a gate of their key stops; whether there may be more."""
    rows: list[Row] = []
    page: list[Row] = []
    looked, shut = 0, False
    while len(rows) < count and looked < LOOKED_AT * count:
        page = session.rows(
            f"SELECT id, gates FROM plait_job WHERE lane = ? AND state = {WAITING} ORDER BY vt, id "
            f"LIMIT ?{session.unlocked}",
            (lane.id, count - len(rows)),
        )
        if page and looked == 0 and not gates.enter(lane.task):
            return [], False
        taken, held = [], []
        for job, its in page:
            wanted = names(rules, its)
            stopped = gates.stops(wanted)
            if stopped is None:
                gates.passed(job, wanted)
                taken.append(job)
            elif stopped[0].keyed is None:  # nothing of this task may begin: no use in holding each
                shut = True
                break
            else:
                held.append((stopped[1], job))
        if taken:
            rows += session.rows(f"{_TAKE_GATED}?* RETURNING {TAKEN}", (worker, now, taken))
        gates.hold(held)
        looked += len(page)
        if shut or not page:
            break
    gates.store({row[0] for row in rows})
    return rows, bool(page) and not shut


def claimed(session: Session, lane: Lane, row: Row) -> Claimed:
    """The job of a row."""
    job, args, token, attempt, crashes, created, key, data, _ = row
    if data is None:
        return Claimed(job, lane.task, args, token, attempt, crashes, created, lane.queue, key)
    more = more_of(data)
    further = more.feed, parts_of(session, more.of) if more.of else None, more.on_error
    return Claimed(job, lane.task, args, token, attempt, crashes, created, lane.queue, key, *further)


def parts_of(session: Session, group: int) -> tuple[Part, ...]:
    """What became of the parts of a group, in their order."""
    total = session.rows("SELECT total FROM plait_grp WHERE id = ?", (group,))
    parts = [_LOST] * (total[0][0] if total else 0)
    for at, state, result, error, job in session.rows(
        "SELECT part, state, result, error, id FROM plait_done WHERE grp = ?", (group,)
    ):
        parts[at] = Part(NAMES[state], result, error or "", job)
    return tuple(parts)


_LOST = Part(State.FAILED, error="What it came to is not known any more: it was run again by itself.")
