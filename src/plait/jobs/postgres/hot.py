"""The statements that run for every job, each for many jobs at once: storing, claiming, settling."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from plait.jobs.postgres.connect import own, storable
from plait.jobs.protocol import Event
from plait.jobs.records import Draft, Outcome, Placed
from plait.jobs.sql.claim import TAKEN, Lane
from plait.jobs.sql.enqueue import COLUMNS
from plait.jobs.sql.schema import DONE, RUNNING, WAITING
from plait.jobs.sql.session import Row, Session
from plait.jobs.sql.settle import settle as settle_each

__all__ = ["Watermarks", "begun_with", "copy", "first_token", "place_plain", "settle"]

#: Seconds between two claims of a lane from its very beginning, at least; and how many times what such a claim takes.
RESET, SHARE = 0.25, 20.0
#: Jobs that are claimed by a plan that was made before.
FEW = 50
_TYPES = "int8 int8 int8 float8 float8 float8 text text text float8 int8 int8 bytea bytea"


def copy(connection: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
    """Store the rows of new jobs."""
    sql = f"COPY plait_job ({COLUMNS}) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(sql) as out:
        out.set_types(_TYPES.split())
        for row in rows:
            out.write_row(storable(row))


_ONE = (
    "INSERT INTO plait_job (id, lane, state, vt, token, created, gates, args) SELECT nextval('plait_job_seq'), id, "
    f"{WAITING}, coalesce((SELECT vt FROM plait_fair WHERE lane = plait_lane.id AND key = ''), 0), ?, ?, ?, ? "
    "FROM plait_lane WHERE task = ? AND queue = ? AND rank = ? AND alone = 0 "
    "AND NOT EXISTS (SELECT 1 FROM plait_moved) RETURNING id"
)


#: Tokens that a job may use up, whatever it began with.
_TOKENS = 1 << 16


def first_token() -> int:
    """A token that no other job begins with: by it, one is found of which only its client knows."""
    return secrets.randbits(46) * _TOKENS


def begun_with(session: Session, token: int) -> int | None:
    """The job whose first token that was, as long as anything is known of it."""
    which = token, token + _TOKENS
    tables = " UNION ALL ".join(
        f"SELECT id FROM {t} WHERE token >= ? AND token < ?" for t in ("plait_job", "plait_done")
    )
    found = session.rows(tables, which + which)
    return int(found[0][0]) if found else None


def place_plain(session: Session, draft: Draft, now: float, token: int = 0) -> Placed | None:
    """Store a job in one statement; `None`: it is none of those for which that can be done, nothing has happened."""
    named = draft.unique is not None or draft.key is not None or draft.feed is not None
    if named or draft.then or draft.of or draft.group or max(draft.at, now + draft.delay) > now:
        return None
    gates = json.dumps(draft.gates) if draft.gates else None
    found = session.rows(_ONE, (token, now, gates, draft.args, draft.task, draft.queue, -draft.priority))
    session.news = session.news or bool(found)
    return Placed(found[0][0]) if found else None


class Watermarks:
    """Where the last claim of each lane ended, so that the next one does not go through what was claimed before.

    PostgreSQL keeps the index entries of rows that are gone until no snapshot can see them: with one open for an
    hour, a claim from the beginning goes through a million. But a row may appear behind the mark: one whose
    transaction was long, one that was handed back. So now and then a claim does begin at the beginning: the rarer,
    the longer that takes.

    Concurrency: belongs to one thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: dict[int, tuple[float, int]] = {}
        self._reset: dict[int, float] = {}
        self._many: dict[int, bool] = {}  # whether the last claim of a lane was of many
        self._again: list[float] = []

    def take(self, session: Session, lane: Lane, count: int, worker: int, now: float) -> list[Row]:
        """Claim the first `count` waiting jobs of a lane behind its mark; from the beginning when it is time."""
        began = self._clock()
        mark = self._marks.get(lane.id) if began < self._reset.get(lane.id, 0.0) else None
        rows = _take(session, lane, count, worker, now, mark, many=self._many.get(lane.id, False))
        self._many[lane.id] = len(rows) >= FEW
        if mark is not None and len(rows) < count:
            self._again.append(self._reset[lane.id])
        if mark is None:
            ended = self._clock()
            self._reset[lane.id] = ended + max(RESET, SHARE * (ended - began))
        if rows:
            self._marks[lane.id] = max((row[8], row[0]) for row in rows)
        return rows

    def again(self) -> float | None:
        """Seconds until lanes may be looked at from their beginnings whose claims since the last call ended early."""
        soonest, self._again = min(self._again, default=None), []
        return max(0.0, soonest - self._clock()) if soonest is not None else None


def fresh(session: Session, sql: str, values: Sequence[Any]) -> list[Row]:
    """All rows of a statement that is planned anew, for these values: a plan that suits few rows ruins thousands."""
    connection: psycopg.Connection[Any] = session.connection  # type: ignore[attr-defined]
    return (
        psycopg.Cursor(connection, row_factory=tuple_row).execute(own(sql), storable(values), prepare=False).fetchall()
    )


def _take(
    session: Session,
    lane: Lane,
    count: int,
    worker: int,
    now: float,
    mark: tuple[float, int] | None,
    *,
    many: bool = False,
) -> list[Row]:
    behind = "AND (vt, id) > (?, ?)" if mark is not None else ""
    # Materialised: else the planner may run the inner query again for rows, and lock more than it should.
    rows = partial(fresh, session) if many else session.rows
    return rows(
        f"WITH next AS MATERIALIZED (SELECT id AS its FROM plait_job WHERE lane = ? AND state = {WAITING} {behind} "
        f"ORDER BY vt, id LIMIT ? FOR UPDATE SKIP LOCKED) UPDATE plait_job SET state = {RUNNING}, token = token + 1, "
        f"attempt = attempt + 1, worker = ?, started = ?, begun = NULL FROM next WHERE id = its RETURNING {TAKEN}",
        (lane.id, *(mark or ()), count, worker, now),
    )


_PLAIN = " AND ".join(f"{column} IS NULL" for column in ("gates", "uniq", "keep_uniq", "grp", "part", "more"))
_KEPT = "id, lane, attempt, crashes, token, created, started, key"
#: Ends many plain jobs at once; those that something follows from are ended one by one. The `+ 0` keeps the planner
#: from the index of running jobs, where all that the worker ever had stay as long as somebody holds an old snapshot.
_SETTLE = (
    "WITH came AS (SELECT * FROM unnest(?::bigint[], ?::bigint[], ?::bytea[], ?::float8[]) "
    "AS came (its, its_token, its_result, its_until)), "
    "gone AS (DELETE FROM plait_job USING came WHERE id = ANY(?::bigint[]) AND id = its AND token = its_token "
    f"AND state + 0 = {RUNNING} AND worker + 0 = ? AND {_PLAIN} RETURNING {_KEPT}, its_result, its_until), "
    f"kept AS (INSERT INTO plait_done ({_KEPT}, state, finished, until, result) "
    f"SELECT {_KEPT}, {DONE}, ?::float8, its_until, its_result FROM gone WHERE its_until > ?::float8) "
    "SELECT id, token FROM gone"
)


def _settle_many(session: Session, values: Sequence[Any]) -> list[Row]:
    if len(values[0]) < FEW:
        return session.rows(_SETTLE, values)
    # The planner expects one row where thousands come, and would compare each with each.
    session.run("SET LOCAL enable_nestloop = off")
    rows = fresh(session, _SETTLE, values)
    session.run("SET LOCAL enable_nestloop = on")
    return rows


def settle(session: Session, worker: int, outcomes: Sequence[Outcome], now: float) -> list[int]:
    """Settle each whose token is the last; the positions of those that were refused."""
    came: dict[tuple[int, int], int] = {}
    for at, outcome in enumerate(outcomes):
        if outcome.event is Event.SUCCEED:
            came.setdefault((outcome.id, outcome.token), at)
    done: set[int] = set()
    if len(came) > 1:
        chosen = [outcomes[at] for at in came.values()]
        ids, tokens, results = [o.id for o in chosen], [o.token for o in chosen], [o.result for o in chosen]
        until = [now + outcome.keep for outcome in chosen]
        rows = _settle_many(session, (ids, tokens, results, until, ids, worker, now, now))
        done = {came[job, token] for job, token in rows}
    rest = [at for at in range(len(outcomes)) if at not in done]
    return [rest[at] for at in settle_each(session, worker, [outcomes[at] for at in rest], now)] if rest else []
