"""`Remote`: this process's end of one worker."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from plait.machine import capabilities
from plait.places.processes.board import READ_BY_PARENT, READ_BY_WORKER, Board
from plait.places.processes.wire import Decoder, Encoder, Frame

__all__ = ["Client", "Remote"]


class Client(Protocol):
    """Who leases a worker and hears from it, in the pool's thread."""

    def heard(self, remote: Remote, frame: Frame) -> None:
        """The worker sent a frame."""

    def lost(self, remote: Remote, status: str) -> None:
        """The worker is dead, and everything that it had sent was heard."""


class Remote:
    """One worker process: what is sent to it, what it has in hand, and its end.

    Concurrency: `send` and `kill` are safe from any thread and never block; the rest belongs to the pool's thread.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.board = Board()
        try:
            self.sock, self.theirs = socket.socketpair()
        except OSError:
            self.board.close()
            raise
        self.sock.setblocking(False)
        self.encoder = Encoder(self.board.words, READ_BY_WORKER, slabs=capabilities().memfd)
        self.decoder = Decoder(self.sock, self.board.words, READ_BY_PARENT)
        self.client: Client | None = None
        self.items = 0  # that it has run in its life
        self.ended = False
        self.killed_for = ""
        self.starter: object = None
        self.hung_up = False
        self.last_call: Callable[[], None] = lambda: None  # calls off the timer that would end it
        self._lock = threading.Lock()
        self._waiting: deque[memoryview] = deque()

    def send(
        self, kind: int, task: int = 0, a: int = 0, b: int = 0, x: float = 0.0, body: Any = b"", buffers: Any = ()
    ) -> bool:
        """Send a frame, or keep what the socket does not take; true when something is kept (see `flush`)."""
        with self._lock:
            if self.ended:
                return False
            data, fds = self.encoder.encode(kind, task, a, b, x, body, buffers)
            if self._waiting and not fds:
                self._waiting.append(memoryview(data))
                return True
            self._drain(block=bool(fds))
            sent = 0
            try:
                with contextlib.suppress(BlockingIOError):
                    sent = self._write(data, fds)
                if not sent and fds:  # descriptors go with the first byte: that one is worth waiting for
                    self._block()
                    sent = self._write(data, fds)
            except OSError:
                return False  # it is dead: the pool hears of that and reruns what it had
            if sent < len(data):
                self._waiting.append(memoryview(data)[sent:])
            return bool(self._waiting)

    def _write(self, data: bytes, fds: list[int]) -> int:
        return socket.send_fds(self.sock, [data], fds) if fds else self.sock.send(data)

    def _block(self) -> None:
        import select

        poll = select.poll()
        poll.register(self.sock, select.POLLOUT)
        poll.poll(5000)

    def _drain(self, *, block: bool = False) -> None:
        while self._waiting:
            try:
                sent = self.sock.send(self._waiting[0])
            except BlockingIOError:
                if not block:
                    return
                self._block()
                continue
            except OSError:
                self._waiting.clear()
                return
            if sent == self._waiting[0].nbytes:
                self._waiting.popleft()
            else:
                self._waiting[0] = self._waiting[0][sent:]

    def flush(self) -> bool:
        """Send what was kept; true when there is more."""
        with self._lock:
            self._drain()
            return bool(self._waiting)

    def kill(self, reason: str) -> None:
        """End it and everything that it started, at once."""
        self.killed_for = self.killed_for or reason
        if self.pid and not self.ended:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of its descriptors."""
        with self._lock:
            self.ended = True
            self._waiting.clear()
            self.sock.close()
            self.theirs.close()
            self.encoder.close()
            self.decoder.close()


def told(status: int | None) -> str:
    """A wait status in words: "killed by SIGSEGV", "exited with code 3"."""
    if status is None:
        return "killed together with its starter"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}"
