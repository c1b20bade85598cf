"""Schedules: stored, and fired once for each of their times."""

from __future__ import annotations

from collections.abc import Sequence

from plait.jobs.records import Draft, Placed, ScheduleView
from plait.jobs.sql.enqueue import enqueue
from plait.jobs.sql.moving import check_open, closed
from plait.jobs.sql.session import Session

__all__ = ["drop", "fire", "put", "schedules"]

_COLUMNS = "name, task, definition, next_fire, last_fire, last_job, seen"


def schedules(session: Session) -> list[ScheduleView]:
    """See `Store.schedules`."""
    return [_view(row) for row in session.rows(f"SELECT {_COLUMNS} FROM plait_schedule ORDER BY name")]


def _view(row: tuple[object, ...]) -> ScheduleView:
    return ScheduleView(**dict(zip(_COLUMNS.split(", "), row, strict=True)))  # type: ignore[arg-type]


def put(session: Session, name: str, task: str, definition: bytes, next_fire: float, now: float) -> ScheduleView:
    """See `Store.put_schedule`. Where the queue is closed, nothing is stored: it is not to disturb the worker."""
    if closed(session) is not None:
        stored = [view for view in schedules(session) if view.name == name]
        return stored[0] if stored else ScheduleView(name=name, task=task, definition=definition, next_fire=next_fire)
    rows = session.rows(
        "INSERT INTO plait_schedule (name, task, definition, next_fire, seen) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET task = excluded.task, seen = excluded.seen, next_fire = CASE WHEN "
        "plait_schedule.definition = excluded.definition OR plait_schedule.last_fire >= excluded.next_fire "
        "THEN plait_schedule.next_fire ELSE excluded.next_fire END, "
        f"definition = excluded.definition RETURNING {_COLUMNS}",
        (name, task, definition, next_fire, now),
    )
    return _view(rows[0])


def drop(session: Session, name: str) -> bool:
    """See `Store.drop_schedule`."""
    check_open(session)
    return session.run("DELETE FROM plait_schedule WHERE name = ?", (name,)) > 0


def fire(
    session: Session, name: str, due: float, next_fire: float, drafts: Sequence[Draft], now: float
) -> list[Placed] | None:
    """See `Store.fire`."""
    if closed(session) is not None:
        return None
    if not session.run(
        "UPDATE plait_schedule SET next_fire = ?, last_fire = ? WHERE name = ? AND next_fire = ?",
        (next_fire, now, name, due),
    ):
        return None
    placed, _ = enqueue(session, drafts, now)
    if placed:
        session.run("UPDATE plait_schedule SET last_job = ? WHERE name = ?", (placed[-1].id, name))
    return placed
