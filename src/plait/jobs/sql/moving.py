"""A queue that moves: closed while it is copied, gone for good, or a copy that is not released yet.

    source:       open ──close──> closed, held by its mover ──depart──> gone for good
                    ^───────────── the mover leaves, or is lost
    destination:  empty ──await_arrival──> closed, filled ──release──> open

One row of `plait_moved` says so. A mover is registered like a worker: when its process is gone, or its lease, what it
closed is open again (`workers.recover`). Only `depart` is for good, and it happens while the whole copy is there.
"""

from __future__ import annotations

from typing import NamedTuple

from plait.errors import QueueMoved, StoreError
from plait.jobs.sql.schema import COPIED, RUNNING
from plait.jobs.sql.session import Session

__all__ = [
    "Closed",
    "Move",
    "await_arrival",
    "check_free",
    "check_open",
    "close",
    "closed",
    "depart",
    "empty",
    "refusal",
    "release",
]

#: What a destination must not have: its jobs' numbers could be those of the jobs that come.
_LIVES = ("plait_job", "plait_done", "plait_grp", "plait_uniq")


class Move(NamedTuple):
    """What tells one move from all others, and the queue that moves (`Session.identity`) from others."""

    source: int
    name: str

    @classmethod
    def read(cls, said: str) -> Move:
        """The opposite of `str`."""
        source, _, name = said.partition(" ")
        return cls(int(source), name)

    def __str__(self) -> str:
        return f"{self.source} {self.name}"


class Closed(NamedTuple):
    """Why a queue is closed.

    Parameters:
        to: where it goes. mover: who copies it; `None`: it has gone for good, or has not arrived.
        source: where it comes from, if it is a copy that is not released yet.
    """

    to: str
    mover: int | None
    source: str | None
    move: Move


def closed(session: Session) -> Closed | None:
    """Why this queue is closed; `None`: it is open."""
    rows = session.rows("SELECT destination, mover, source, move FROM plait_moved")
    for to, mover, source, move in rows:
        return Closed(to, mover, source, Move.read(move))
    return None


def refusal(why: Closed) -> QueueMoved:
    """What those are told who want something done in a closed queue."""
    return QueueMoved(why.to, why.source is None and why.mover is None, why.source)


def check_open(session: Session) -> None:
    """Refuse what must not be done in a queue that is being copied, or whose jobs are elsewhere.

    Raises:
        QueueMoved: it is closed.
    """
    why = closed(session)
    if why is not None:
        raise refusal(why)


def close(session: Session, to: str, mover: int, move: Move) -> None:
    """Close it for a mover. Whoever found it open, in a transaction that still runs, is waited for.

    Raises:
        QueueMoved: it is closed already.
    """
    session.shut_out("plait_moved")
    check_open(session)
    session.run("INSERT INTO plait_moved (destination, mover, move) VALUES (?, ?, ?)", (to, mover, str(move)))


def depart(session: Session, mover: int, move: Move, jobs: int) -> None:
    """The queue has gone for good, if nothing but the `jobs` that were copied is in it.

    Raises:
        StoreError: it was opened again meanwhile, or there are others.
    """
    session.seal()
    changed = session.run("UPDATE plait_moved SET mover = NULL WHERE mover = ? AND move = ?", (mover, str(move)))
    if not changed:
        raise StoreError(
            "This process was away for so long that the queue was opened again: it stays where it is. Move it again."
        )
    found, busy = session.rows(f"SELECT count(*), count(CASE WHEN state = {RUNNING} THEN 1 END) FROM plait_job")[0]
    if found != jobs or busy:
        raise StoreError(
            "Jobs came or went while the queue was copied, by transactions that had begun before that: it stays where "
            "it is. Move it again."
        )


def check_free(session: Session) -> None:
    """Refuse what has jobs of its own, in an open queue.

    Raises:
        StoreError: it has.
    """
    if session.rows(" UNION ALL ".join(f"SELECT 1 FROM {table}" for table in _LIVES) + " LIMIT 1"):
        raise StoreError(
            "The destination has jobs already, and their numbers could be those of the jobs that come. Nothing was "
            "moved: name an empty one."
        )


def await_arrival(session: Session, to: str, source: str, move: Move) -> None:
    """Make room for a queue, and close it for everybody else until it is released.

    Raises:
        QueueMoved: it has gone from here, or another one is arriving. StoreError: something lives here.
    """
    session.shut_out("plait_moved")
    why = closed(session)
    if why is not None and (why.mover is not None or (why.source is not None and why.move.source != move.source)):
        raise refusal(why)
    if why is None:
        check_free(session)
    session.unseal()
    empty(session)
    session.run("DELETE FROM plait_moved")
    session.run("INSERT INTO plait_moved (destination, source, move) VALUES (?, ?, ?)", (to, source, str(move)))


def empty(session: Session) -> None:
    """Remove all that moves."""
    for table, _, _ in COPIED:
        session.run(f"DELETE FROM {table}")
    session.run("DELETE FROM plait_slot")


def release(session: Session, move: Move) -> bool:
    """Open what has arrived; false: that move has not arrived here."""
    return session.run("DELETE FROM plait_moved WHERE move = ? AND source IS NOT NULL", (str(move),)) > 0
