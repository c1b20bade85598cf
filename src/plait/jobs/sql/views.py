"""What is known of jobs and queues, and what people do to them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from plait.jobs.protocol import Event, State
from plait.jobs.records import Ended, Filter, Outcome, QueueView, Snapshot
from plait.jobs.sql.enqueue import take_key, twin
from plait.jobs.sql.moving import check_open
from plait.jobs.sql.schema import CANCELLED, FAILED, HELD, NAMES, NUMBERS, RUNNING, SCHEDULED, WAITING
from plait.jobs.sql.session import Row, Session
from plait.jobs.sql.settle import WHOLE, end
from plait.jobs.sql.workers import KEPT

__all__ = ["cancel", "ended", "find", "pause", "paused", "queues", "redo", "resume", "show", "states"]

_LANE = "plait_lane.task, plait_lane.queue, plait_lane.rank"
_HOT = (
    f"id, state, {_LANE}, attempt, crashes, created, started, key, uniq, grp, "
    "run_at, worker, cancel, held, progress, note, error"
)
_COLD = f"id, state, {_LANE}, attempt, crashes, created, started, key, uniq, grp, finished, error"


def ended(session: Session, ids: Collection[int]) -> list[Ended]:
    """See `Store.ended`."""
    rows = session.rows("SELECT id, state, result, error, traceback FROM plait_done WHERE id IN ?*", (list(ids),))
    return [Ended(job, NAMES[state], result, error or "", text or "") for job, state, result, error, text in rows]


def states(session: Session, ids: Collection[int]) -> dict[int, State]:
    """See `Store.states`."""
    wanted = list(ids)
    rows = session.rows(
        "SELECT id, state FROM plait_job WHERE id IN ?* UNION ALL SELECT id, state FROM plait_done WHERE id IN ?*",
        (wanted, wanted),
    )
    return {job: NAMES[state] for job, state in rows}


def _joined(columns: str, table: str) -> str:
    named = columns.replace("id, state", f"{table}.id, {table}.state", 1)
    return f"SELECT {named} FROM {table} JOIN plait_lane ON plait_lane.id = {table}.lane"


def _snapshot(row: Row, **further: Any) -> Snapshot:
    job, state, task, queue, rank, attempt, crashes, created, started, key, unique, group = row[:12]
    if unique is not None:
        unique = unique.partition("\x1f")[2]
    return Snapshot(
        id=job,
        task=task,
        queue=queue,
        state=NAMES[state],
        priority=-rank,
        attempt=attempt,
        crashes=crashes,
        created=created,
        started=started,
        key=key,
        unique=unique,
        group=group or 0,
        **further,
    )


def _hot(row: Row, args: bytes | None = None) -> Snapshot:
    run_at, worker, cancelled, held, progress, note, error = row[12:19]
    return _snapshot(
        row,
        run_at=run_at,
        worker=worker,
        stopping=cancelled is not None,
        held=held.replace("\x1f", "/") if held is not None else None,
        progress=progress,
        note=note or "",
        error=error or "",
        args=args,
    )


def show(session: Session, job: int) -> Snapshot | None:
    """See `Store.show`."""
    for row in session.rows(f"{_joined(_HOT + ', args', 'plait_job')} WHERE plait_job.id = ?", (job,)):
        return _hot(row, row[19])
    cold = _joined(_COLD + ", traceback, args, result", "plait_done")
    for row in session.rows(f"{cold} WHERE plait_done.id = ?", (job,)):
        finished, error, traceback, args, result = row[12:17]
        said = error or "", traceback or ""
        return _snapshot(row, finished=finished, error=said[0], traceback=said[1], args=args, result=result)
    return None


def find(session: Session, which: Filter) -> list[Snapshot]:
    """See `Store.find`."""
    numbers = [NUMBERS[state] for state in which.states or tuple(State)]
    if WAITING in numbers:
        numbers.append(HELD)
    hot = [number for number in numbers if number <= HELD]
    cold = [number for number in numbers if number > HELD]
    found = [_hot(row) for row in _page(session, _HOT, "plait_job", hot, which)]
    rows = _page(session, _COLD, "plait_done", cold, which)
    found += [_snapshot(row, finished=row[12], error=row[13] or "") for row in rows]
    return sorted(found, key=lambda snapshot: -snapshot.id)[: which.limit]


def _page(session: Session, columns: str, table: str, numbers: list[int], which: Filter) -> list[Row]:
    if not numbers:
        return []
    said: list[str] = []
    values: list[Any] = []
    for column, value in (("task", which.task), ("queue", which.queue), (f"{table}.key", which.key)):
        if value is not None:
            said.append(f"{column} = ?")
            values.append(value)
    if which.before is not None:
        said.append(f"{table}.id < ?")
        values.append(which.before)
    # The states as they are: a partial index is only used where they can be seen to be its own.
    states = " OR ".join(f"{table}.state = {number}" for number in numbers)
    where = " AND ".join([f"({states})", *said])
    return session.rows(
        f"{_joined(columns, table)} WHERE {where} ORDER BY {table}.id DESC LIMIT ?", (*values, which.limit)
    )


def queues(session: Session, now: float) -> list[QueueView]:
    """See `Store.queues`."""
    resting = paused(session)
    found: dict[tuple[str, str], QueueView] = {}
    for table, oldest in (("plait_job", f"min(CASE WHEN state = {WAITING} THEN created END)"), ("plait_done", "NULL")):
        for queue, task, state, count, since in session.rows(
            f"SELECT queue, task, state, count(*), {oldest} FROM {table} JOIN plait_lane ON plait_lane.id = lane "
            "GROUP BY queue, task, state"
        ):
            view = found.get((queue, task))
            if view is None:
                view = found[queue, task] = QueueView(queue=queue, task=task, paused=queue in resting, counts={})
            name = NAMES[state].value
            view.counts[name] = view.counts.get(name, 0) + count
            if since is not None:
                found[queue, task] = QueueView(
                    queue=queue, task=task, paused=view.paused, counts=view.counts, wait=max(0.0, now - since)
                )
    for queue in resting - {queue for queue, _ in found}:
        found[queue, ""] = QueueView(queue=queue, task="", paused=True)
    return [found[name] for name in sorted(found)]


def paused(session: Session) -> set[str]:
    """See `Store.paused`."""
    return {row[0] for row in session.rows("SELECT queue FROM plait_paused")}


def pause(session: Session, queue: str) -> None:
    """See `Store.pause`."""
    check_open(session)
    session.run("INSERT INTO plait_paused (queue) VALUES (?) ON CONFLICT DO NOTHING", (queue,))


def resume(session: Session, queue: str) -> None:
    """See `Store.resume`."""
    check_open(session)
    session.run("DELETE FROM plait_paused WHERE queue = ?", (queue,))


def cancel(session: Session, ids: Collection[int], now: float) -> dict[int, State]:
    """See `Store.cancel`."""
    check_open(session)
    wanted = list(ids)
    # All at once, and in order: else one could be handed back between the two statements below, and slip through.
    session.rows(f"SELECT id FROM plait_job WHERE id IN ?* ORDER BY id{session.locked}", (wanted,))
    rows = session.rows(
        f"DELETE FROM plait_job WHERE id IN ?* AND state IN ({SCHEDULED}, {WAITING}, {HELD}) RETURNING {WHOLE}",
        (wanted,),
    )
    said = "It was cancelled before it ran."
    outcomes = [Outcome(id=row[0], token=row[4], event=Event.STOP, error=said, keep=KEPT) for row in rows]
    end(session, list(zip(rows, outcomes, strict=True)), now)
    session.run(f"UPDATE plait_job SET cancel = 1 WHERE id IN ?* AND state = {RUNNING}", (wanted,))
    return states(session, wanted)


def redo(session: Session, ids: Collection[int], now: float) -> list[int]:
    """See `Store.redo`."""
    check_open(session)
    again = []
    for row in session.rows(
        "SELECT id, lane, token, created, key, gates, uniq, keep_uniq, grp, part, more, args FROM plait_done "
        f"WHERE id IN ?* AND state IN ({FAILED}, {CANCELLED}) ORDER BY id{session.going}",
        (list(ids),),
    ):
        job, lane, token, created, key, gates, unique, keep_unique, group, part, more, args = row
        if unique is not None and take_key(session, unique, job, now) != job:
            continue
        if unique is not None:  # it may have been kept for a time only
            session.run("UPDATE plait_uniq SET until = NULL WHERE key = ? AND job = ?", (unique, job))
        session.run("DELETE FROM plait_done WHERE id = ?", (job,))
        if group is not None and not session.run(
            "UPDATE plait_grp SET open = open + 1 WHERE id = ? AND open > 0", (group,)
        ):
            group = part = None
        session.run(
            "INSERT INTO plait_job (id, lane, state, token, created, key, gates, uniq, keep_uniq, grp, part, more, "
            f"args) VALUES (?, ?, {WAITING}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (job, twin(session, lane, 0), token, created, key, gates, unique, keep_unique, group, part, more, args),
        )
        again.append(job)
    return again
