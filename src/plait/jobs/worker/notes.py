"""Progress: what a task says of its job, on its way from the seat to the worker, as datagrams that nobody waits for."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable

import msgspec

from plait.jobs.records import Note
from plait.jobs.worker.words import storable

__all__ = ["Current", "Postbox"]

#: Seconds between two notes of one job.
APART = 0.1
#: Bytes that the path of a socket's folder may have.
LONGEST = 90
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Note).decode
_sending = threading.local()


class Current:
    """The job that a task runs for: `plait.jobs.current()`.

    Attributes:
        id: the job's. attempt: which attempt this is, from 1. crashes: workers that were lost with it.
    """

    __slots__ = ("_last", "_later", "_over", "_post", "_said", "_token", "attempt", "crashes", "id")

    def __init__(self, job: int, token: int, attempt: int, crashes: int, post: str) -> None:
        self.id, self._token, self.attempt, self.crashes, self._post = job, token, attempt, crashes, post
        self._said = -APART
        self._last: Note | None = None  # what was not said yet: it came too soon
        self._later = self._over = False

    def progress(self, share: float, text: str = "") -> None:
        """Say how far the job is: a share from 0 to 1, and words. Cheap; some ten a second are kept, and the last."""
        self._last = Note(self.id, self._token, min(1.0, max(0.0, float(share))), storable(str(text)[:1000]))
        wait = self._said + APART - time.monotonic()
        if wait <= 0 or share >= 1.0:
            self._say()
        elif not self._later and self._post:
            self._later = True
            timer = threading.Timer(wait, self._say_later)
            timer.daemon = True
            with contextlib.suppress(RuntimeError):  # no thread can be started: the next word may be in time
                timer.start()

    def _say(self) -> None:
        note, self._last = self._last, None
        if note is not None:
            self._said = time.monotonic()
            _send(self._post, note)

    def _say_later(self) -> None:
        self._later = False
        if not self._over:
            self._say()

    def over(self) -> None:
        """The attempt has ended: nothing more is said of it."""
        self._over = True


class _Sender:
    """A thread's socket; closed with the thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

    def __del__(self) -> None:
        self.socket.close()


def _send(path: str, note: Note) -> None:
    if not path:
        return
    sender = getattr(_sending, "sender", None)
    if sender is None or sender.pid != os.getpid():
        sender = _sending.sender = _Sender()
    with contextlib.suppress(OSError):  # the worker has ended, or has more than it can read
        sender.socket.sendto(_encode(note), path)


class Postbox:
    """Where a worker gets notes.

    Parameters:
        take: called with each, in a thread of its own.
    """

    def __init__(self, take: Callable[[Note], None]) -> None:
        self._folder = tempfile.mkdtemp(prefix="plait-")
        if len(os.fsencode(self._folder)) > LONGEST:
            os.rmdir(self._folder)
            self._folder = tempfile.mkdtemp(prefix="plait-", dir="/tmp")
        self.path = os.path.join(self._folder, "notes")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._take = take
        threading.Thread(target=self._work, name="plait-notes", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                return
            if not data:
                return
            with contextlib.suppress(msgspec.MsgspecError):
                self._take(_decode(data))

    def close(self) -> None:
        """Take no more."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.path)
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)
            os.rmdir(self._folder)
