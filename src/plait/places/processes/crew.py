"""Place `processes`: each seat is a leased worker process."""

from __future__ import annotations

import array
import itertools
import logging
import pickle
import threading
import time
from collections.abc import Sequence
from typing import Any

from plait import machine
from plait.errors import CannotTravel, StartFailed
from plait.placement import Placement
from plait.places.crew import MOVED, Listener, Refused, Work
from plait.places.processes import travel
from plait.places.processes.board import SLOTS
from plait.places.processes.pool import default_pool
from plait.places.processes.remote import Remote
from plait.places.processes.setting import setting
from plait.places.processes.wire import Frame, Kind, dumps, loads
from plait.places.processes.worker import Opened
from plait.styles.batch import Batch

__all__ = ["ProcessCrew"]

log = logging.getLogger("plait")
_tasks = itertools.count(1)


class ProcessCrew:
    """Seats in worker processes of the default pool."""

    def __init__(self, work: Work, placement: Placement, listener: Listener) -> None:
        self.work, self.placement, self.listener = work, placement, listener
        self.pool = default_pool()
        self.task = next(_tasks) & 0xFFFFFFFF
        self.width = self.opened_at = self.widest = min(placement.width or 1, SLOTS)
        count = placement.workers or self.pool.workers
        self.share = work.memory // count if work.memory is not None else None
        self.seats: set[ProcessSeat] = set()
        self.lock = threading.Lock()
        self.closed = False
        name = getattr(work.function, "__qualname__", None) or work.name
        function = travel.ship(work.function, f"The function {name!r}")
        resources = travel.ship(dict(work.resources), f"The resources of {work.name!r}")
        mine = setting(max(1, machine.cores() // count))
        self.opening = dumps(
            Opened(
                function, resources, placement.style, self.width, work.timeout, work.option, f"plait-{work.name}", mine
            )
        )

    def open(self, seats: int) -> None:
        """Lease `seats` workers and open the lane in them; what cannot be started, the listener is told."""
        while seats > 0:
            seat = ProcessSeat(self)
            try:
                began = time.monotonic()
                seat.remote = self.pool.lease(seat)
                seat.cold_since = began if not seat.remote.pid else None
            except StartFailed as error:
                self._cannot(error)
                return
            with self.lock:
                late, dead = self.closed, seat.dead
                if not (late or dead):
                    self.seats.add(seat)
            if late:
                self.pool.give_back(seat.remote)
                return
            if dead:  # it died before it was listed, so nobody was told
                continue
            seats -= 1
            body, buffers = self.opening
            seat.post(Kind.OPEN, body=body, buffers=buffers)
            if self.width != self.opened_at:
                seat.width = self.width
                seat.post(Kind.WIDTH, self.width)

    def _cannot(self, error: StartFailed) -> None:
        """A worker cannot be started: fewer do as well, none does not."""
        with self.lock:
            some = bool(self.seats)
        if some and not self.pool.closed:
            log.warning("The run goes on with fewer workers. %s", error)
        else:
            self.listener.broken(error, "")

    def retire(self, seat: Any, reason: str) -> None:
        """The worker closes the lane and ends, its memory worn; or goes back to the pool, since the lane has moved."""
        with self.lock:
            self.seats.discard(seat)
            if reason == MOVED:
                seat.opened = False  # `heard` gives it back once it has closed the lane
        if reason == MOVED:
            self.pool.expect(seat.remote)
            seat.post(Kind.CLOSE)
            return
        seat.post(Kind.CLOSE)
        self.pool.retire(seat.remote, reason)

    def resize(self, width: int) -> None:
        """Have up to `width` items in progress in each worker."""
        width = min(width, SLOTS)
        with self.lock:
            self.width, self.widest = width, max(width, self.widest)
            seats = list(self.seats)
        for seat in seats:
            seat.width = width
            seat.post(Kind.WIDTH, width)

    def close(self, wait: float, *, prompt: bool) -> list[str]:
        """Give the workers back; those that are not done within `wait` seconds are killed."""
        with self.lock:
            if self.closed:
                return []
            self.closed = True
            seats = list(self.seats)
            begun = [seat for seat in seats if seat.opened or seat.dead]
        until = time.monotonic() + wait
        # One that is still starting has nothing to end: it comes back to the pool when it hears of this, or is ended.
        for seat in seats:
            if seat not in begun:
                self.pool.expect(seat.remote)
            seat.post(Kind.CLOSE)
        for seat in begun:
            if seat.ended.wait(max(0.0, until - time.monotonic())) and not seat.dead:
                self.pool.give_back(seat.remote)
            else:
                seat.remote.kill("closed with items in hand")
        for seat in begun:
            if not seat.ended.is_set():
                seat.ended.wait(1.0)
        return [f"worker process {seat.pid}" for seat in begun if not seat.ended.is_set()]


class ProcessSeat:
    """One leased worker. It is its `Remote`'s client."""

    can_kill = True
    remote: Remote

    def __init__(self, crew: ProcessCrew) -> None:
        self.crew = crew
        self.style, self.width = crew.placement.style, crew.width
        self.ended = threading.Event()
        self.dead = False
        self.opened = False
        self.cpu: float | None = None
        self.weighed = time.monotonic()
        self.cold_since: float | None = None  # when a worker that had to be started was asked for

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self.remote.pid

    def post(self, kind: int, a: int = 0, b: int = 0, x: float = 0.0, body: Any = b"", buffers: Any = ()) -> None:
        """Send a frame; never blocks."""
        if self.remote.send(kind, self.crew.task, a, b, x, body, buffers):
            self.crew.pool.flush(self.remote)

    def send(self, first: int, items: Sequence[Any], grain: int, budget: float, *, by_value: bool) -> int:
        """Send a chunk."""
        made = travel.dumps_items(list(items), whole=by_value)
        if isinstance(made, dict):
            raise Refused(made)
        body, buffers = made
        self.post(Kind.CHUNK, first, grain, budget, body, buffers)
        self.remote.items += len(items)
        return len(body) + sum(buffer.nbytes for buffer in buffers)

    def words(self) -> list[int]:
        """Straight from the shared board."""
        try:
            return self.remote.board.in_hand(self.crew.widest)
        except ValueError:  # closed: it is gone
            return []

    def queued(self) -> float:
        """Of the worker's main thread, which runs the items of style `serial`."""
        return machine.queued_seconds(self.pid) or 0.0

    def worn(self) -> str:
        """Too many items, or more memory than its share."""
        recycle = self.crew.pool.recycle
        if recycle is not None and self.remote.items >= recycle:
            return "recycled"
        now = time.monotonic()
        if self.crew.share is not None and now - self.weighed > 0.1:
            self.weighed = now
            if (machine.resident_bytes(self.pid) or 0) > self.crew.share:
                return "memory"
        return ""

    def kill(self, reason: str) -> None:
        """Kill the worker and what it started; `Listener.lost` follows."""
        self.remote.kill(reason)

    def drop(self, seq: int) -> None:
        """Coroutines are cancelled; else it runs on: killing the worker costs more than most attempts."""
        if self.style == "loop":
            self.post(Kind.DROP, seq)

    # --- from the pool's thread ----------------------------------------------------------------------------------

    def heard(self, remote: Remote, frame: Frame) -> None:
        """Pass on what the worker says of this lane."""
        self.remote = remote
        listener = self.crew.listener
        if frame.task != self.crew.task:
            return
        match frame.kind:
            case Kind.BATCH:
                self._batch(frame)
            case Kind.OPENED:
                with self.crew.lock:
                    late, self.opened, self.cpu = self.crew.closed, not self.crew.closed, frame.x
                if self.cold_since is not None:
                    self.crew.pool.start_seconds = time.monotonic() - self.cold_since
                if not late:
                    listener.seated(self)
            case Kind.CLOSED:
                if self.opened:
                    self.ended.set()
                else:
                    self.crew.pool.give_back(remote)
            case Kind.UNREADABLE:
                listener.unreadable(self, frame.a, bytes(frame.body).decode(errors="replace"))
            case Kind.BROKEN:
                self.opened = not self.crew.closed
                try:
                    error, traceback = pickle.loads(frame.body)
                except Exception as why:
                    error, traceback = CannotTravel("The worker's exception", str(why), "See its log."), ""
                listener.broken(error, traceback)
            case _:
                pass

    def _batch(self, frame: Frame) -> None:
        spent = frame.x - self.cpu if self.cpu is not None else 0.0
        self.cpu = frame.x
        try:
            batch = Batch(*loads(frame))
        except BaseException as error:
            seqs = range(frame.a, frame.a + frame.b) if frame.b else array.array("Q", bytes(frame.buffers[-1]))
            self.crew.listener.scrambled(self, seqs, f"{type(error).__name__}: {error}")
            return
        self.crew.listener.arrived(self, batch, frame.weight, max(0.0, spent))

    def lost(self, remote: Remote, status: str) -> None:
        """Tell the lane, with what the board says."""
        self.remote = remote
        self.ended.set()
        with self.crew.lock:
            self.dead = True
            wanted = self in self.crew.seats and not self.crew.closed
            self.crew.seats.discard(self)
        if wanted:
            board = remote.board
            self.crew.listener.lost(self, board.in_hand(self.crew.widest), status, board.stack(), self.opened)
