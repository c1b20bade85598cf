"""Hearing and telling: LISTEN on a connection of its own, and notifications that wait for company.

A NOTIFY takes a lock of the whole server when its transaction commits: so none is part of a transaction with jobs, and
what many enqueue within a moment is told once.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

__all__ = ["Ear", "Voice"]

#: Seconds between two notifications of one process, at least.
APART = 0.01
#: Seconds between two looks when nothing is heard: notifications may be lost.
LOOK = 0.5, 1.0


class Ear:
    """Listens to a channel. See `store.Listener`.

    Parameters:
        connect: opens a connection in autocommit mode.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], channel: str) -> None:
        self._connect, self._channel = connect, channel
        self._wakes, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._connection: psycopg.Connection[Any] | None = None
        self._again = 0.0

    def wait(self, timeout: float) -> bool:
        """Wait until something may be new."""
        self._listen()
        timeout = min(timeout, random.uniform(*LOOK))
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if self._connection is not None:
            poll.register(self._connection.pgconn.socket, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0.0, timeout) * 1000)}
        if self._woken.fileno() in ready:
            with contextlib.suppress(OSError):
                self._woken.recv(4096)
        if ready - {self._woken.fileno()}:
            self._hear()
        return bool(ready)

    def _listen(self) -> None:
        if self._connection is not None or time.monotonic() < self._again:
            return
        self._again = time.monotonic() + 1.0
        with contextlib.suppress(psycopg.Error):
            connection = self._connect()
            connection.execute(f"LISTEN {self._channel}")
            self._connection = connection

    def _hear(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            connection.pgconn.consume_input()
            while connection.pgconn.notifies():
                pass
        except psycopg.Error:
            with contextlib.suppress(psycopg.Error):
                connection.close()
            self._connection = None

    def wake(self) -> None:
        """End a wait."""
        with contextlib.suppress(OSError):
            self._wakes.send(b"x")

    def close(self) -> None:
        """Listen no more."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
        self._wakes.close()
        self._woken.close()


class Voice:
    """Notifies channels, from a thread of its own: who enqueues does not wait for it."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._wanted: set[str] = set()
        self._event = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def tell(self, channel: str) -> None:
        """Wake those who listen to it, soon."""
        with self._lock:
            self._wanted.add(channel)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="plait-notify", daemon=True)
                self._thread.start()
        self._event.set()

    def _work(self) -> None:
        connection: psycopg.Connection[Any] | None = None
        while not self._closed:
            self._event.wait()
            self._event.clear()
            with self._lock:
                wanted, self._wanted = self._wanted, set()
            try:
                if connection is None:
                    connection = self._connect()
                    connection.execute("SET synchronous_commit = off")
                for channel in sorted(wanted):
                    connection.execute(f"NOTIFY {channel}")
            except psycopg.Error:  # those who listen look by themselves
                if connection is not None:
                    with contextlib.suppress(psycopg.Error):
                        connection.close()
                connection = None
            time.sleep(APART)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Tell what is left, and no more."""
        self._closed = True
        self._event.set()
        if self._thread is not None:
            self._thread.join(2.0)
