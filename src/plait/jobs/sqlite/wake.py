"""Waking others: a datagram to the socket of everyone who listens, and a look at the file for those who cannot send.

Sockets lie in a folder beside the file. A datagram is a hint: what a process commits without Plait's help, or from
where the folder cannot be written to, is noticed by a look at the file's data version every `GLANCE` seconds.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["WAITERS", "WORKERS", "Ear", "Voice"]

#: Seconds between two looks at the file.
GLANCE = 0.05
#: Bytes that the path of a socket may have.
LONGEST = 100
#: Who listens: to jobs that become claimable, or to those that end.
WORKERS, WAITERS = "w", "d"

_numbers = itertools.count(1)


class Ear:
    """Listens. See `store.Listener`.

    Parameters:
        version: what changes when others have committed something. done: called at the end.
    """

    def __init__(self, folder: Path, kind: str, version: Callable[[], int], done: Callable[[], object]) -> None:
        self._version, self._done = version, done
        self._seen = version()
        self._wakes, self._woken = socket.socketpair()
        self._socket: socket.socket | None = None
        # Containers that share the folder have the same process numbers.
        self._path = folder / f"{kind}{os.getpid()}-{next(_numbers)}-{secrets.token_hex(2)}"
        self._poll = select.poll()
        self._poll.register(self._woken, select.POLLIN)
        self._woken.setblocking(False)
        self._lock = threading.Lock()
        if len(os.fsencode(self._path)) <= LONGEST:
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                self._socket.bind(os.fspath(self._path))
                self._poll.register(self._socket, select.POLLIN)

    def wait(self, timeout: float) -> bool:
        """Wait until something may be new."""
        until = time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            if self._poll.poll(max(0.0, min(left, GLANCE)) * 1000):
                self._drain()
                return True
            version = self._version()
            if version != self._seen:
                self._seen = version
                return True
            if left <= 0:
                return False

    def _drain(self) -> None:
        for sock in (self._woken, self._socket):
            with contextlib.suppress(OSError):
                while sock is not None and sock.recv(4096):
                    pass

    def wake(self) -> None:
        """End a wait."""
        with contextlib.suppress(OSError):
            self._wakes.send(b"x")

    def close(self) -> None:
        """Listen no more."""
        with self._lock:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    os.unlink(self._path)
                self._socket.close()
            self._wakes.close()
            self._woken.close()
            self._done()


class Voice:
    """Tells all ears of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._changed = -1
        self._ears: list[str] = []

    def tell(self, kind: str) -> None:
        """Wake those who listen for `kind`."""
        try:
            changed = os.stat(self._folder).st_mtime_ns
        except OSError:  # nobody has listened yet
            return
        if changed != self._changed:
            self._changed = changed
            with contextlib.suppress(OSError):
                self._ears = os.listdir(self._folder)
        for name in self._ears:
            if name.startswith(kind) and name[1:2].isdigit():
                self._send(self._folder / name)

    def _send(self, path: Path) -> None:
        try:
            self._socket.sendto(b"x", os.fspath(path))
        except BlockingIOError:  # it has many of them already
            pass
        except ConnectionRefusedError:  # its process was killed
            with contextlib.suppress(OSError):
                os.unlink(path)
        except OSError:
            pass

    def close(self) -> None:
        """Tell nobody any more."""
        self._socket.close()
