"""Settling: what became of attempts, and everything that follows from a job's end, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from plait.jobs.protocol import Event
from plait.jobs.records import NOTHING, Draft, Outcome
from plait.jobs.sql.enqueue import More, enqueue, more_of
from plait.jobs.sql.gates import free
from plait.jobs.sql.schema import CANCELLED, DONE, FAILED, RUNNING, SCHEDULED, WAITING
from plait.jobs.sql.session import Row, Session

__all__ = ["BACK", "ENDS", "FOLLOWS", "WHOLE", "end", "followed", "release", "settle", "stopped"]

#: The state that an event ends a job in.
ENDS = {Event.SUCCEED: DONE, Event.FAIL: FAILED, Event.STOP: CANCELLED}
#: The columns of a job's row that outlive it, in order.
WHOLE = "id, lane, attempt, crashes, token, created, started, key, gates, uniq, keep_uniq, grp, part, more, args"
GROUP, MORE = 11, 13
#: Positions in `WHOLE` of the id and of what says that something follows from a job's end: of a plain one all empty.
FOLLOWS = (0, 8, 9, 10, 11, 12, 13)
BACK = (
    "UPDATE plait_job SET state = ?, run_at = ?, attempt = attempt - ?, error = ?, worker = NULL, progress = NULL, "
    "note = NULL"
)
_KEEP = (
    f"INSERT INTO plait_done ({WHOLE[4:]}, id, state, finished, until, error, traceback, result) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_MINE = f"WHERE id = ? AND token = ? AND worker = ? AND state = {RUNNING}"


def settle(session: Session, worker: int, outcomes: Sequence[Outcome], now: float) -> list[int]:
    """Settle each that is `worker`'s and whose token is the last; the positions of those that were refused."""
    refused: list[int] = []
    ended: list[tuple[Row, Outcome]] = []
    back: list[int] = []
    for at, outcome in enumerate(outcomes):
        mine = outcome.id, outcome.token, worker
        if outcome.event in ENDS:
            rows = session.rows(f"DELETE FROM plait_job {_MINE} RETURNING {WHOLE}", mine)
            ended += [(row, outcome) for row in rows]
        else:
            rows = session.rows(f"{BACK} {_MINE} AND cancel IS NULL RETURNING id", (*_back(outcome, now), *mine))
            back += [outcome.id] if rows else []
            if not rows:  # nobody wants it, or it is not ours
                rows = session.rows(f"DELETE FROM plait_job {_MINE} RETURNING {WHOLE}", mine)
                ended += [(row, stopped(outcome)) for row in rows]
        if not rows:
            refused.append(at)
    session.news = session.news or bool(back)
    free(session, back)
    end(session, ended, now)
    return refused


def end(session: Session, ended: Sequence[tuple[Row, Outcome]], now: float) -> None:
    """Keep what jobs came to whose rows (`WHOLE`) were deleted, and do what follows from their end."""
    session.ends = session.ends or bool(ended)
    kept = [_kept(row, outcome, now) for row, outcome in ended if outcome.keep > 0 or _is_part(row, outcome)]
    if kept:
        session.many(_KEEP, kept)
    followed(session, [([row[at] for at in FOLLOWS], outcome) for row, outcome in ended if _follows(row)], now)


def stopped(outcome: Outcome) -> Outcome:
    """The same for a job that was cancelled."""
    return msgspec.structs.replace(outcome, event=Event.STOP, error=outcome.error or "It was cancelled.")


def _is_part(row: Row, outcome: Outcome) -> bool:
    """Whether a group needs what it came to; of a chain, only the last link's."""
    goes_on = outcome.event is Event.SUCCEED and row[MORE] is not None and bool(more_of(row[MORE]).then)
    return row[GROUP] is not None and not goes_on


def _follows(row: Row) -> bool:
    return any(row[at] is not None for at in FOLLOWS[1:])


def _kept(row: Row, outcome: Outcome, now: float) -> Row:
    state, values = ENDS[outcome.event], list(row[1:])
    if state == DONE:
        if row[MORE] is not None and more_of(row[MORE]).then:  # the next link of the chain is the part of the group
            values[GROUP - 1] = values[GROUP] = None
        values[MORE - 1] = values[MORE] = None  # nobody runs it again: what it was asked for need not be kept
    said = outcome.error or None, outcome.traceback or None
    return *values, row[0], state, now, now + outcome.keep, *said, outcome.result


def _back(outcome: Outcome, now: float) -> Row:
    later = outcome.event is not Event.RELEASE
    spent = 0 if outcome.event is Event.RETRY else 1
    return SCHEDULED if later else WAITING, now + outcome.delay if later else None, spent, outcome.error or None


def followed(session: Session, ended: Sequence[tuple[Sequence[Any], Outcome]], now: float) -> None:
    """What follows from the end of jobs: keys, gates, groups, chains. Rows have the columns of `FOLLOWS`."""
    free(session, [row[0] for row, _ in ended if row[1] is not None])
    groups: dict[int, int] = {}
    next_: list[Draft] = []
    for uniq, job, keep_uniq in sorted((row[2], row[0], row[3]) for row, _ in ended if row[2] is not None):
        if keep_uniq:
            session.run("UPDATE plait_uniq SET until = ? WHERE key = ? AND job = ?", (now + keep_uniq, uniq, job))
        else:
            session.run("DELETE FROM plait_uniq WHERE key = ? AND job = ?", (uniq, job))
    for (_, _, _, _, group, part, data), outcome in ended:
        more = more_of(data)
        if more.of and (outcome.event is Event.SUCCEED or (outcome.keep <= 0 and group is None)):
            release(session, more.of)  # else it may be run again, and needs the parts
        if more.then and outcome.event is Event.SUCCEED:
            next_.append(_onwards(more, outcome.result, group, part))
        elif group is not None:
            groups[group] = groups.get(group, 0) + 1
    for group, count in sorted(groups.items()):
        next_ += _fan_in(session, group, count)
    if next_:
        go_on(session, next_, now)


def go_on(session: Session, drafts: Sequence[Draft], now: float) -> None:
    """Store what follows from the end of others."""
    placed, _ = enqueue(session, drafts, now, follows=True)
    for draft, its in zip(drafts, placed, strict=True):
        if draft.of and not its.fresh:  # another stands for it, and does not ask for the parts
            release(session, draft.of)


def release(session: Session, group: int) -> None:
    """Nobody needs the parts of a group any more."""
    session.run("UPDATE plait_grp SET then_ = NULL WHERE id = ?", (group,))


def _onwards(more: More, result: bytes | None, group: int | None, part: int | None) -> Draft:
    """The next link of a chain, which gets the result, and takes the place in the group."""
    first, *rest = more.then
    feed = result if result is not None else NOTHING
    return msgspec.structs.replace(first, feed=feed, then=(*first.then, *rest), group=group or 0, part=part or 0)


def _fan_in(session: Session, group: int, count: int) -> list[Draft]:
    rows = session.rows("UPDATE plait_grp SET open = open - ? WHERE id = ? RETURNING open, then_", (count, group))
    return [_draft(then) for open_, then in rows if open_ == 0 and then is not None]


_draft = msgspec.msgpack.Decoder(Draft).decode
