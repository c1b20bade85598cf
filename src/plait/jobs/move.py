"""Moving a queue from one store to another, whole: what is waiting, what has ended, keys, groups, schedules.

    1. source closed       nobody enqueues or claims there any more; what runs may end
    2. destination filled  in one transaction, and closed itself
    3. source departed     in one transaction, if nothing has come or gone meanwhile: from now on the queue is there
    4. destination opened
    5. source emptied

Whoever is killed on the way: until 3 the source goes on by itself, as soon as the mover's process (on other machines,
its lease) is gone; after 3 the same command does what is left. At no time do both of them run jobs.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from plait.errors import OptionError, PlaitError, StoreBusy, StoreError
from plait.jobs.open import checked_url, open_store, shown_url
from plait.jobs.presence import boot, space
from plait.jobs.protocol import LEASE
from plait.jobs.records import WorkerInfo
from plait.jobs.sql import moving
from plait.jobs.sql.schema import COPIED, RUNNING
from plait.jobs.sql.session import Row, Session
from plait.jobs.sql.store import SqlStore

__all__ = ["PATIENCE", "Moved", "move"]

T = TypeVar("T")
#: Rows that are read and written at a time, at most; and their bytes, unless a single one has more.
PAGE, HEAVY = 2000, 4 << 20
#: Columns that may be large.
_LARGE = ("args", "more", "result", "error", "traceback", "then_")
#: Seconds for jobs that run, and for transactions that have enqueued, to end.
PATIENCE = 4 * LEASE
_COUNTERS = ("job", "lane", "grp")


class Moved(NamedTuple):
    """How many jobs were moved: to be worked on, and ended."""

    jobs: int
    ended: int


def move(
    source: str, destination: str, tell: Callable[[str], object] = lambda said: None, *, patience: float = PATIENCE
) -> Moved:
    """Move all that is in `source` to `destination`, which must not have jobs of its own.

    Parameters:
        tell: gets a line for whatever takes time. patience: seconds for jobs that run in the source to end.

    Raises:
        OptionError: a URL cannot be used for that. QueueMoved: it was moved already, or is just being moved.
        StoreError: the destination has jobs, or a store cannot be used; the source goes on, unless it says otherwise.
    """
    if checked_url(source) == checked_url(destination):
        raise OptionError("destination", shown_url(destination), "it is where the queue is already")
    file = checked_url(source).removeprefix("sqlite:///")
    if source.startswith("sqlite") and not os.path.exists(file):
        raise StoreError(f"There is no queue to move: there is no file {file}.")
    with contextlib.ExitStack() as stack:

        def opened(name: str, url: str) -> SqlStore:
            store = open_store(url)
            stack.callback(store.close)
            if not isinstance(store, SqlStore):
                raise OptionError(name, shown_url(url), "only queues in SQLite and PostgreSQL can be moved")
            return store

        mover = _Mover(opened("source", source), opened("destination", destination), tell, patience)
        return mover.carry_out()


class _Mover:
    """One move.

    Attributes:
        id: of the worker that this process is in the source: what it has closed is open again when that is gone.
        move: what tells this move from others.
    """

    def __init__(self, source: SqlStore, destination: SqlStore, tell: Callable[[str], object], patience: float) -> None:
        self.source, self.destination, self.tell, self.patience = source, destination, tell, patience
        self.move = moving.Move(0, uuid.uuid4().hex)
        self.id = 0
        self._ended = threading.Event()

    def carry_out(self) -> Moved:
        """Do it, or what is left to do of one that was killed."""
        self.move = self.move._replace(source=self.source.write(lambda session: session.identity()))
        if self.destination.write(lambda session: session.identity()) == self.move.source:
            raise OptionError("destination", shown_url(self.destination.url), "it is where the queue is already")
        if (done := self._unfinished()) is not None:
            return done
        self.destination.read(_check)
        info = WorkerInfo(host=socket.gethostname(), pid=os.getpid(), boot=boot(), space=space())
        self.id = self.source.register(info)
        beating = threading.Thread(target=self._beat, name="plait-move", daemon=True)
        beating.start()
        try:
            return self._carry_out()
        except BaseException:
            self._give_up()
            raise
        finally:
            self._ended.set()
            beating.join()
            with contextlib.suppress(PlaitError):  # others notice that this process is gone
                self.source.leave(self.id)

    def _carry_out(self) -> Moved:
        self._patiently(lambda: self.source.write(self._close))
        self._patiently(lambda: self.destination.write(self._make_room))
        self._wait()
        self.tell("Copying.")
        counts = self.destination.write(self._copy)
        _unbroken(lambda: self._depart(counts.jobs))
        return counts

    def _give_up(self) -> None:
        """Open the source again; only then remove the copy, unless the source departed before that."""
        with contextlib.suppress(PlaitError):  # the next move to there does what is left out here
            self.source.leave(self.id)
            why = self.source.read(moving.closed)
            if why is None or why.move != self.move:
                self.destination.write(self._remove_copy)

    # --- before -----------------------------------------------------------------------------------------------------

    def _unfinished(self) -> Moved | None:
        """A move that had departed already: its destination is opened; what came there."""
        why = self.source.read(moving.closed)
        if why is not None and why.mover is not None:
            self.source.upkeep()  # its mover may be gone
            why = self.source.read(moving.closed)
        if why is None:
            return None
        there = self.destination.read(moving.closed)
        if why.source is not None or why.mover is not None or there is None or there.move != why.move:
            raise moving.refusal(why)
        self.move = why.move
        counts = self.destination.read(_counts)
        _unbroken(self._release)
        return counts

    def _close(self, session: Session) -> None:
        moving.close(session, shown_url(self.destination.url), self.id, self.move)

    def _make_room(self, session: Session) -> None:
        moving.await_arrival(session, shown_url(self.destination.url), shown_url(self.source.url), self.move)

    def _wait(self) -> None:
        """Until nobody has a job in hand."""
        until, told = time.monotonic() + self.patience, False
        sql = f"SELECT count(*) FROM plait_job WHERE state = {RUNNING}"
        while True:
            self.source.upkeep()
            running = self.source.read(lambda session: session.rows(sql))[0][0]
            if not running:
                return
            if time.monotonic() > until:
                raise StoreError(
                    f"Running jobs: {running}, after {self.patience:.0f} s still. The queue stays where it is. Have "
                    "them end, or end their workers; then move it again."
                )
            if not told:
                self.tell(f"Waiting until what runs has ended (running jobs: {running}).")
                told = True
            time.sleep(0.2)

    # --- copying ----------------------------------------------------------------------------------------------------

    def _copy(self, session: Session) -> Moved:
        counts = {table: self._copy_table(session, table, key, columns) for table, key, columns in COPIED}
        for counter in _COUNTERS:  # numbers of jobs that are gone must not be used again either
            session.number_from(counter, self.source.read(lambda reading, name=counter: reading.last(name)))  # type: ignore[misc]
        return Moved(counts["plait_job"], counts["plait_done"])

    def _copy_table(self, session: Session, table: str, key: tuple[str, ...], columns: tuple[str, ...]) -> int:
        at = [columns.index(name) for name in key]
        order, after = ", ".join(key), ", ".join("?" * len(key))
        bytes_ = " + ".join(f"coalesce(length({name}), 0)" for name in columns if name in _LARGE) or "0"
        last: tuple[Any, ...] = ()
        count = 0

        def page(reading: Session) -> list[Row]:
            which = f"FROM {table} {f'WHERE ({order}) > ({after})' if last else ''} ORDER BY {order} LIMIT"
            size = _fitting(row[0] for row in reading.rows(f"SELECT {bytes_} {which} {PAGE}", last))
            return reading.rows(f"SELECT {', '.join(columns)} {which} {size}", last)

        while rows := self.source.read(page):
            session.load(table, columns, rows)
            count += len(rows)
            last = tuple(rows[-1][position] for position in at)
        return count

    # --- the end ----------------------------------------------------------------------------------------------------

    def _depart(self, jobs: int) -> None:
        self._patiently(lambda: self.source.write(lambda session: moving.depart(session, self.id, self.move, jobs)))
        self._release()

    def _release(self) -> None:
        try:
            self._patiently(lambda: self.destination.write(lambda session: moving.release(session, self.move)))
        except PlaitError as error:
            raise StoreError(
                f"The queue is whole in {self.destination.where}, but could not be opened there: {error} Run the same "
                "command again when it can be used."
            ) from error
        self.destination.tell_workers()
        with contextlib.suppress(PlaitError):  # nobody looks at it any more
            self.source.write(moving.empty)

    def _remove_copy(self, session: Session) -> None:
        if moving.release(session, self.move):
            moving.empty(session)

    def _beat(self) -> None:
        while not self._ended.wait(LEASE / 5):
            with contextlib.suppress(PlaitError):
                self.source.beat(self.id)

    def _patiently(self, work: Callable[[], T]) -> T:
        """Try again while others are in the way."""
        until = time.monotonic() + self.patience
        while True:
            try:
                return work()
            except StoreBusy:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)  # it held others up while it tried: now is their turn


def _check(session: Session) -> None:
    """Refuse a destination that is known to be none, before anything is closed."""
    why = moving.closed(session)
    if why is None:
        moving.check_free(session)
    elif why.mover is not None:
        raise moving.refusal(why)


def _counts(session: Session) -> Moved:
    return Moved(*session.rows("SELECT (SELECT count(*) FROM plait_job), (SELECT count(*) FROM plait_done)")[0])


def _fitting(sizes: Iterable[int]) -> int:
    """How many rows of these bytes are read at a time, at least one."""
    return max(1, sum(total <= HEAVY for total in itertools.accumulate(sizes)))


def _unbroken(work: Callable[[], None]) -> None:
    """Do what Ctrl-C must not cut in two: in a thread, which does not get it; it is raised afterwards."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="plait-move-end")
    thread.start()
    while thread.is_alive():
        with contextlib.suppress(KeyboardInterrupt):  # it comes too late to be heeded
            thread.join()
    if errors:
        raise errors[0]
