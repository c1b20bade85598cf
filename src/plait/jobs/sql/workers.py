"""Workers: their leases, what becomes of the jobs of those that are gone, and what running jobs say."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from plait.jobs.losses import Loss
from plait.jobs.protocol import CRASHES, LEASE, Event
from plait.jobs.records import Note, Outcome, WorkerInfo, WorkerView
from plait.jobs.sql.enqueue import twin
from plait.jobs.sql.gates import free
from plait.jobs.sql.schema import RUNNING, WAITING
from plait.jobs.sql.session import Row, Session
from plait.jobs.sql.settle import WHOLE, end, stopped

__all__ = [
    "KEPT",
    "LEFT",
    "beat",
    "begin",
    "is_leased",
    "is_unrenewed",
    "leases",
    "leave",
    "note",
    "recover",
    "register",
    "running",
    "unwanted",
    "workers",
]

#: Seconds for which jobs can be looked up that their workers' crashes have ended.
KEPT = 7 * 86_400.0
#: When the lease of a worker ended that has left, and is kept for a job that it could not hand back.
LEFT = 0.0
_encode = msgspec.msgpack.Encoder().encode
_info = msgspec.msgpack.Decoder(WorkerInfo).decode


def register(session: Session, info: WorkerInfo, now: float) -> int:
    """See `Store.register`."""
    worker = session.ids("worker", 1)[0]
    session.run(
        "INSERT INTO plait_worker (id, info, started, until) VALUES (?, ?, ?, ?)",
        (worker, _encode(info), now, now + LEASE),
    )
    return worker


def beat(session: Session, worker: int, now: float) -> bool:
    """See `Store.beat`."""
    return session.run("UPDATE plait_worker SET until = ? WHERE id = ?", (now + LEASE, worker)) == 1


def is_leased(session: Session, worker: int, now: float) -> bool:
    """Whether a worker may claim. Nobody recovers it before that is committed: the jobs would not be seen."""
    return bool(session.rows(f"SELECT 1 FROM plait_worker WHERE id = ? AND until > ?{session.kept}", (worker, now)))


def _close(session: Session, worker: int) -> None:
    """Wait for what a worker claims just now; from here on it claims nothing."""
    session.rows(f"SELECT 1 FROM plait_worker WHERE id = ?{session.going}", (worker,))


def leases(session: Session) -> dict[int, float]:
    """Worker -> until when it has its lease."""
    return {row[0]: row[1] for row in session.rows("SELECT id, until FROM plait_worker ORDER BY id")}


def is_unrenewed(session: Session, worker: int, until: float) -> bool:
    """Whether a worker's lease still ends then, and it is not just renewing it; from here on it cannot any more."""
    sql = f"SELECT 1 FROM plait_worker WHERE id = ? AND until = ?{session.unlocked}"
    return bool(session.rows(sql, (worker, until)))


def workers(session: Session, now: float, *, counted: bool = True) -> list[WorkerView]:
    """See `Store.workers`. counted: whether it is of interest how many jobs they run."""
    count = f"SELECT count(*) FROM plait_job WHERE worker = plait_worker.id AND state = {RUNNING}" if counted else "0"
    rows = session.rows(f"SELECT id, info, started, until, ({count}) FROM plait_worker ORDER BY id")
    return [
        WorkerView(id=w, info=_info(info), started=s, lease=until - now, running=n) for w, info, s, until, n in rows
    ]


def leave(session: Session, worker: int, now: float) -> int:
    """See `Store.leave`.

    One that nobody wants, and that its task's own transaction still holds, is left to those who recover workers.
    """
    _close(session, worker)
    rows = session.rows(
        f"UPDATE plait_job SET state = {WAITING}, attempt = attempt - 1, worker = NULL, progress = NULL, note = NULL "
        f"WHERE worker = ? AND state = {RUNNING} AND cancel IS NULL RETURNING id",
        (worker,),
    )
    _end_unwanted(session, worker, now)  # after that: some may have been cancelled just now
    free(session, [row[0] for row in rows])
    _open_again(session, worker)
    if not _forget(session, worker):
        session.run("UPDATE plait_worker SET until = ? WHERE id = ?", (LEFT, worker))
    return len(rows)


def recover(session: Session, worker: int, now: float) -> Loss:
    """See `Store.recover`.

    A job that its task's own transaction still holds is left for the next time: it may yet be done.
    """
    _close(session, worker)
    known = session.rows("SELECT info FROM plait_worker WHERE id = ?", (worker,))
    count = _end_unwanted(session, worker, now)
    mine = f"worker = ? AND state = {RUNNING}"
    poisoned: list[Row] = session.rows(
        f"DELETE FROM plait_job WHERE id IN (SELECT id FROM plait_job WHERE {mine} AND crashes >= ? "
        f"AND begun IS NOT NULL{session.unlocked}) RETURNING {WHOLE}",
        (worker, CRASHES - 1),
    )
    said = "Its worker was lost {} times while it ran: it is not tried again."
    end(session, [(_crashed(row), _failed(row, said.format(row[3] + 1))) for row in poisoned], now)
    jobs: list[int] = []
    for (lane,) in session.rows(f"SELECT DISTINCT lane FROM plait_job WHERE {mine} ORDER BY lane", (worker,)):
        rows = session.rows(
            f"UPDATE plait_job SET state = {WAITING}, lane = ?, crashes = crashes + CASE WHEN crashes = 0 OR begun "
            "IS NOT NULL THEN 1 ELSE 0 END, attempt = attempt - 1, worker = NULL, progress = NULL, note = NULL "
            f"WHERE id IN (SELECT id FROM plait_job WHERE {mine} AND lane = ? AND cancel IS NULL{session.unlocked}) "
            "RETURNING id",
            (twin(session, lane, 1), worker, lane),
        )
        jobs += [row[0] for row in rows]
    session.news = session.news or bool(jobs)
    free(session, jobs)
    _open_again(session, worker)
    _forget(session, worker)
    info = _info(known[0][0]) if known else None
    return Loss(worker=worker, info=info, again=len(jobs), poisoned=tuple(row[0] for row in poisoned), stopped=count)


def _forget(session: Session, worker: int) -> bool:
    """Forget a worker, if it has no jobs any more; whether that is so."""
    mine = f"SELECT 1 FROM plait_job WHERE worker = ? AND state = {RUNNING}"
    return session.run(f"DELETE FROM plait_worker WHERE id = ? AND NOT EXISTS ({mine})", (worker, worker)) > 0


def _open_again(session: Session, mover: int) -> None:
    """What it has closed to move it is open again, unless it has gone for good (`moving`)."""
    session.run("DELETE FROM plait_moved WHERE mover = ?", (mover,))


def begin(session: Session, job: int, token: int) -> bool:
    """See `Store.begin`."""
    return bool(
        session.run(f"UPDATE plait_job SET begun = 1 WHERE id = ? AND token = ? AND state = {RUNNING}", (job, token))
    )


def _crashed(row: Row) -> Row:
    return (*row[:3], row[3] + 1, *row[4:])


def _failed(row: Row, why: str) -> Outcome:
    return Outcome(id=row[0], token=row[4], event=Event.FAIL, error=why, keep=KEPT)


def _end_unwanted(session: Session, worker: int, now: float) -> int:
    rows = session.rows(
        "DELETE FROM plait_job WHERE id IN (SELECT id FROM plait_job WHERE worker = ? "
        f"AND state = {RUNNING} AND cancel IS NOT NULL{session.unlocked}) RETURNING {WHOLE}",
        (worker,),
    )
    end(session, [(row, stopped(_failed(row, ""))) for row in rows], now)
    return len(rows)


def running(session: Session, worker: int) -> list[tuple[int, int]]:
    """See `Store.running`."""
    rows = session.rows(f"SELECT id, token FROM plait_job WHERE worker = ? AND state = {RUNNING}", (worker,))
    return [(row[0], row[1]) for row in rows]


def unwanted(session: Session, worker: int) -> list[tuple[int, int]]:
    """See `Store.unwanted`."""
    rows = session.rows(
        f"SELECT id, token FROM plait_job WHERE worker = ? AND state = {RUNNING} AND cancel IS NOT NULL", (worker,)
    )
    return [(row[0], row[1]) for row in rows]


def note(session: Session, notes: Sequence[Note]) -> None:
    """See `Store.note`."""
    session.many(
        f"UPDATE plait_job SET progress = ?, note = ? WHERE id = ? AND token = ? AND state = {RUNNING}",
        [(said.share, said.text, said.id, said.token) for said in notes],
    )
