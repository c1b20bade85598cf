"""What a worker process does: takes chunks, runs them by a style, sends batches back."""

from __future__ import annotations

import array
import contextlib
import faulthandler
import logging
import os
import pickle
import select
import signal
import socket
import threading
import time
from contextvars import copy_context
from functools import partial
from typing import Any

from plait.errors import CannotTravel
from plait.places.processes import travel
from plait.places.processes.board import READ_BY_PARENT, READ_BY_WORKER, Board
from plait.places.processes.portable import portable
from plait.places.processes.setting import apply_setting, in_worker
from plait.places.processes.wire import Decoder, Encoder, Frame, Kind, dumps, loads
from plait.styles.batch import Batch, raised
from plait.styles.resources import open_sync
from plait.styles.serial import Streaming, run_items
from plait.styles.threads import ThreadsRunner, inside

__all__ = ["Opened", "main"]


def main(sock_fd: int, board_fd: int) -> int:
    """Serve one parent until it says so or hangs up; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("700")  # short of memory, the kernel should end a worker, which is replaced, and not the parent
    board = Board(board_fd)
    with contextlib.suppress(Exception):
        faulthandler.enable(board_fd)
    in_worker()
    return _Worker(socket.socket(fileno=sock_fd), board).serve()


class Opened:
    """What a worker is told of a lane when it opens it. Travels by reference; its parts by value."""

    def __init__(
        self,
        function: Any,
        resources: Any,
        style: str,
        width: int,
        timeout: float | None,
        option: str,
        name: str,
        setting: Any,
    ) -> None:
        self.function, self.resources, self.style, self.width = function, resources, style, width
        self.timeout, self.option, self.name, self.setting = timeout, option, name, setting


class _Worker:
    def __init__(self, sock: socket.socket, board: Board) -> None:
        self.sock, self.board = sock, board
        self.decoder = Decoder(sock, board.words, READ_BY_WORKER)
        self.encoder = Encoder(board.words, READ_BY_PARENT, slabs=hasattr(os, "memfd_create"))
        self.lock = threading.Lock()
        self.task = 0
        self.lane: Any = None
        self.forwarding: Any = None
        self.child = False
        os.register_at_fork(after_in_child=self.forked)

    def forked(self) -> None:
        """In a child that the user's function forked: it must neither answer for us nor write on our board."""
        self.child = True
        self.lock = threading.Lock()  # another thread may have held it
        self.sock.close()
        if self.forwarding is not None:
            self.forwarding.stop()
        self.board.slots.release()
        faulthandler.disable()

    def serve(self) -> int:
        pid = os.getpid()
        try:
            while self.decoder.receive():
                for frame in self.decoder.frames():
                    if frame.kind == Kind.EXIT:
                        return 0
                    self.handle(frame)
        except (OSError, ValueError):
            if os.getpid() != pid:
                os._exit(0)  # a forked child came back from the user's function into our loop
        return 0

    def handle(self, frame: Frame) -> None:
        match frame.kind:
            case Kind.CHUNK:
                if frame.task == self.task and self.lane is not None:
                    self.run(frame)
            case Kind.OPEN:
                self.open(frame)
            case Kind.WIDTH:
                if frame.task == self.task and self.lane is not None:
                    self.lane.resize(frame.a)
            case Kind.CLOSE:
                if frame.task == self.task:
                    self.close()
                self.send(Kind.CLOSED, frame.task)
            case _:
                pass

    def run(self, frame: Frame) -> None:
        try:
            items = loads(frame)
        except BaseException as error:
            self.send(Kind.UNREADABLE, frame.task, frame.a, body=travel.text(error))
            return
        self.lane.put(frame.a, items, frame.b, frame.x)

    def open(self, frame: Frame) -> None:
        self.task = frame.task
        try:
            what: Opened = loads(frame)
            apply_setting(what.setting)
            if self.forwarding is None:
                from plait.places.processes.forward import Forwarding

                self.forwarding = Forwarding(self.send)
            self.forwarding.take_levels(what.setting.levels)
            function = travel.load(what.function)
            resources = travel.load(what.resources)
        except BaseException as error:
            self.broken(frame.task, error)
            return
        emit = partial(self.emit, frame.task)
        broken = partial(self.broken, frame.task)
        if what.style == "loop":
            self.serve_loop(frame.task, what, function, resources, emit, broken)
            return
        self.lane = _lane(what, function, resources, self.board.slots, emit, broken)
        if self.lane is not None:
            self.send(Kind.OPENED, frame.task, x=time.process_time())

    def serve_loop(self, task: int, what: Opened, function: Any, resources: Any, emit: Any, broken: Any) -> None:
        """Serve this one lane on an event loop until it is closed, then go on as before."""
        from plait.places.processes.loop_lane import serve_loop

        serve_loop(self, task, what, function, resources, emit, broken)

    def close(self) -> None:
        lane, self.lane = self.lane, None
        if lane is not None:
            try:
                lane.close()
            except Exception:
                logging.getLogger("plait").exception("A resource could not be closed.")
        self.task = 0
        self.encoder.trim()

    def emit(self, task: int, batch: Batch) -> None:
        """Send results. What cannot be sent is a failure; a worker that cannot even say so ends: that is heard of."""
        try:
            self.send_batch(task, batch)
        except BaseException as error:
            try:
                cannot = CannotTravel("The result", f"{type(error).__name__}: {error}", "Return less, or plain data.")
                failed = [(at, raised(cannot, 0.0, below=0)) for at in range(len(batch.values))]
                self.send_batch(task, batch._replace(values=[None] * len(batch.values), errors=failed))
            except BaseException:
                os._exit(1)

    def send_batch(self, task: int, batch: Batch) -> None:
        if batch.errors:
            errors = [(at, failed._replace(error=portable(failed.error))) for at, failed in batch.errors]
            batch = batch._replace(errors=errors)
        try:
            body, buffers = dumps(tuple(batch))
        except Exception:
            body, buffers = travel.dumps_each(batch)
        count = len(batch.values)
        if batch.seqs is not None:  # told apart from the results as well, in case those cannot be read
            count, buffers = 0, [*buffers, memoryview(array.array("Q", batch.seqs)).cast("B")]
        self.send(Kind.BATCH, task, batch.first, count, time.process_time(), body, buffers)

    def broken(self, task: int, error: BaseException) -> None:
        """The lane cannot run here: its function cannot be loaded or a resource not be opened."""
        failed = raised(error, 0.0, below=0)
        self.send(Kind.BROKEN, task, body=pickle.dumps((portable(error), failed.traceback), 5))

    def write(self, data: memoryview, fds: list[int]) -> None:
        """Write all of it, waiting where the socket is full (a loop's socket does not wait by itself)."""
        while data:
            try:
                sent = socket.send_fds(self.sock, [data], fds) if fds else self.sock.send(data)
            except BlockingIOError:
                poll = select.poll()  # select() knows no descriptor above 1023
                poll.register(self.sock, select.POLLOUT)
                poll.poll()
                continue
            data, fds = data[sent:], []

    def send(
        self, kind: int, task: int = 0, a: int = 0, b: int = 0, x: float = 0.0, body: Any = b"", buffers: Any = ()
    ) -> None:
        if self.child:  # forked by the user's function, it came back into our loop
            os._exit(0)
        with self.lock:
            data, fds = self.encoder.encode(kind, task, a, b, x, body, buffers)
            try:
                self.write(memoryview(data), fds)
            except OSError:  # the parent is gone, or the user's function closed our socket: nobody to work for
                os._exit(1)


def _lane(what: Opened, function: Any, resources: Any, words: Any, emit: Any, broken: Any) -> Any:
    inside.set(True)
    if what.style == "threads":
        runner = ThreadsRunner(function, resources, what.width, words, emit, broken, copy_context(), what.name)
        runner.close = partial(runner.close, 5.0)  # type: ignore[method-assign]
        return runner
    try:
        call, finish = open_sync(function, resources)
    except BaseException as error:
        broken(error)
        return None
    return _Serial(call, finish, words, emit)


class _Serial:
    def __init__(self, call: Any, finish: Any, words: Any, emit: Any) -> None:
        self.call, self.finish, self.words, self.emit = call, finish, words, emit
        self.streaming = Streaming()

    def put(self, first: int, items: Any, grain: int, budget: float) -> None:
        run_items(self.call, items, first, self.words, 0, self.emit, budget, streaming=self.streaming)
        self.words[0] = 0

    def close(self) -> None:
        self.streaming.close()
        self.finish()
