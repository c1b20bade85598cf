"""Storing jobs: unique keys, virtual times, groups."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import msgspec

from plait.jobs.records import Draft, Fan, Placed
from plait.jobs.sql.moving import check_open
from plait.jobs.sql.schema import SCHEDULED, WAITING
from plait.jobs.sql.session import Row, Session

__all__ = ["COLUMNS", "More", "enqueue", "lane_of", "more_of", "prepare", "take_key", "twin"]

#: The columns that a new job's row has, in order.
COLUMNS = "id, lane, state, vt, created, run_at, key, gates, uniq, keep_uniq, grp, part, more, args"
_INSERT = f"INSERT INTO plait_job ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class More(msgspec.Struct, omit_defaults=True, gc=False):
    """What few jobs have, in one column: see `Draft`."""

    then: tuple[Draft, ...] = ()
    feed: bytes | None = None
    of: int = 0
    on_error: str = "raise"


_encode = msgspec.msgpack.Encoder().encode
_more = msgspec.msgpack.Decoder(More).decode


def more_of(data: bytes | None) -> More:
    """What is in the column `more`."""
    return _more(data) if data is not None else _NOTHING


_NOTHING = More()


def enqueue(
    session: Session,
    drafts: Sequence[Draft],
    now: float,
    fan: Fan | None = None,
    copy: Callable[[list[Row]], None] | None = None,
    *,
    follows: bool = False,
) -> tuple[list[Placed], int]:
    """See `Store.enqueue`.

    Parameters:
        copy: stores rows of `COLUMNS` in a faster way. follows: whether the jobs follow from the end of others, which
            may be where the queue is closed, too, since it is about to move.
    """
    group = 0
    if fan is not None:
        group = session.ids("grp", 1)[0]
        then = _encode(msgspec.structs.replace(fan.then, of=group)) if fan.then is not None else None
        session.run(
            "INSERT INTO plait_grp (id, total, open, then_) VALUES (?, ?, ?, ?)", (group, fan.total, fan.total, then)
        )
    placed, rows = prepare(session, drafts, now, group, follows=follows)
    session.news = session.news or bool(rows)
    if rows and copy is not None:
        copy(rows)
    elif rows:
        session.many(_INSERT, rows)
    if fan is not None and fan.total == 0 and fan.then is not None:
        then_, _ = enqueue(session, [msgspec.structs.replace(fan.then, of=group)], now, follows=follows)
        if not then_[0].fresh:  # another stands for it
            session.run("UPDATE plait_grp SET then_ = NULL WHERE id = ?", (group,))
    return placed, group


def prepare(
    session: Session, drafts: Sequence[Draft], now: float, group: int, *, follows: bool = False
) -> tuple[list[Placed], list[Row]]:
    """Where each draft goes, and the rows of those that are new."""
    numbers = session.ids("job", len(drafts)) if drafts else ()
    holders = _take_keys(session, drafts, numbers, now) if not group else {}
    lanes: dict[tuple[str, str, int, int], int] = {}
    times = _Times(session, hurried=follows)
    placed: list[Placed] = []
    rows: list[Row] = []
    for at, draft in enumerate(drafts):
        job, unique = numbers[at], None
        if at in holders:
            unique = _unique(draft)
            if holders[at] != job:
                placed.append(Placed(holders[at], fresh=False))
                continue
        name = (draft.task, draft.queue, -draft.priority, 0)
        lane = lanes.get(name)
        if lane is None:
            lane, vt = _lane_and_time(session, name, even_if_closed=follows)
            lanes[name] = lane
            times.know(lane, vt)
        run_at = max(draft.at, now + draft.delay)
        later = run_at > now
        more = None
        if draft.then or draft.feed is not None or draft.of:
            more = More(draft.then, draft.feed, draft.of, draft.on_error)
        placed.append(Placed(job))
        rows.append(
            (
                job,
                lane,
                SCHEDULED if later else WAITING,
                times.of(lane, draft.key),
                now,
                run_at if later else None,
                draft.key,
                json.dumps(draft.gates) if draft.gates else None,
                unique,
                draft.keep_unique or None,
                group or draft.group or None,
                (at if group else draft.part) if group or draft.group else None,
                _encode(more) if more is not None else None,
                draft.args,
            )
        )
    times.store()
    return placed, rows


def _unique(draft: Draft) -> str:
    return f"{draft.task}\x1f{draft.unique}"


def _take_keys(session: Session, drafts: Sequence[Draft], numbers: Sequence[int], now: float) -> dict[int, int]:
    """Position -> who has the draft's unique key now. In one order for all: else clients would wait for each other."""
    wanted = sorted((_unique(d), at) for at, d in enumerate(drafts) if d.unique is not None and not d.group)
    return {at: take_key(session, key, numbers[at], now) for key, at in wanted}


def lane_of(session: Session, task: str, queue: str, rank: int, alone: int, *, even_if_closed: bool = False) -> int:
    """The lane of a task's jobs in one queue with one rank (its priority, turned round), or that of its suspects.

    Raises:
        QueueMoved: the queue is closed.
    """
    return _lane_and_time(session, (task, queue, rank, alone), even_if_closed=even_if_closed)[0]


def _lane_and_time(session: Session, name: tuple[str, str, int, int], *, even_if_closed: bool) -> tuple[int, float]:
    """A lane and its virtual time, and whether the queue is closed: the one statement that every enqueue needs."""
    find = (
        "SELECT id, EXISTS (SELECT 1 FROM plait_moved), (SELECT vt FROM plait_fair WHERE lane = plait_lane.id "
        "AND key = '') FROM plait_lane WHERE task = ? AND queue = ? AND rank = ? AND alone = ?"
    )
    found = session.rows(find, name)
    if not found:
        session.run(
            "INSERT INTO plait_lane (id, task, queue, rank, alone) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (session.ids("lane", 1)[0], *name),
        )
        found = session.rows(find, name)
    lane, closed, vt = found[0]
    if closed and not even_if_closed:
        check_open(session)
    return int(lane), vt or 0.0


def twin(session: Session, lane: int, alone: int) -> int:
    """The lane like `lane` of suspects, or of those that are none (any more)."""
    task, queue, rank = session.rows("SELECT task, queue, rank FROM plait_lane WHERE id = ?", (lane,))[0]
    return lane_of(session, task, queue, rank, alone, even_if_closed=True)


def take_key(session: Session, key: str, job: int, now: float) -> int:
    """Take a unique key for `job`; the job that has it now, which may be another.

    What another job has is only looked at: whoever locked it, in a transaction of a client's own, could keep the worker
    that ends that job waiting.
    """
    while True:
        taken = session.rows(
            "INSERT INTO plait_uniq (key, job) SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM plait_uniq WHERE key = ? "
            "AND (until IS NULL OR until > ?)) ON CONFLICT (key) DO UPDATE SET job = excluded.job, until = NULL "
            "WHERE plait_uniq.until <= ? RETURNING job",
            (key, job, key, now, now),
        )
        found = taken or session.rows("SELECT job FROM plait_uniq WHERE key = ?", (key,))
        if found:  # else its holder has let go of it between the two
            return int(found[0][0])


class _Times:
    """Virtual times of the jobs that one call stores.

    Parameters:
        hurried: whether to go on where a client's open transaction has a key: a worker must not wait for it.
    """

    def __init__(self, session: Session, *, hurried: bool) -> None:
        self._session = session
        self._store = session.try_many if hurried else session.many
        self._known: dict[tuple[int, str], float] = {}
        self._changed: set[tuple[int, str]] = set()

    def know(self, lane: int, time: float) -> None:
        """That is a lane's time."""
        self._known[lane, ""] = time

    def of(self, lane: int, key: str | None) -> float:
        """The virtual time of the next job of `key` in `lane`."""
        base = self._read(lane, "")
        if key is None:
            return base
        time = max(base, self._read(lane, "=" + key)) + 1.0
        self._known[lane, "=" + key] = time
        self._changed.add((lane, "=" + key))
        return time

    def _read(self, lane: int, key: str) -> float:
        time = self._known.get((lane, key))
        if time is None:
            found = self._session.rows("SELECT vt FROM plait_fair WHERE lane = ? AND key = ?", (lane, key))
            time = self._known[lane, key] = float(found[0][0]) if found else 0.0
        return time

    def store(self) -> None:
        """Remember how far each key has come."""
        if self._changed:
            self._store(
                "INSERT INTO plait_fair (lane, key, vt) VALUES (?, ?, ?) "
                "ON CONFLICT (lane, key) DO UPDATE SET vt = excluded.vt WHERE plait_fair.vt < excluded.vt",
                [(*which, self._known[which]) for which in sorted(self._changed)],
            )
