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

from plait.errors import StoreError

__all__ = ["Ear", "Voice"]

#: Seconds between two notifications of one process, at least.
APART = 0.01
#: Seconds that the server has to take the last notifications of a process that ends.
LAST = 1.0
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
        if self._listen():
            return True  # nobody was heard before
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

    def _listen(self) -> bool:
        """Begin to, if it was not so yet; whether it does since just now."""
        if self._connection is not None or time.monotonic() < self._again:
            return False
        self._again = time.monotonic() + 1.0
        try:
            connection = self._connect()
        except StoreError:  # until there is a server again, the looks do
            return False
        try:
            connection.execute(f"LISTEN {self._channel}")
        except psycopg.Error:
            _close(connection)
            return False
        self._connection = connection
        return True

    def _hear(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            connection.pgconn.consume_input()
            while connection.pgconn.notifies():
                pass
        except psycopg.Error:
            _close(connection)
            self._connection = None

    def wake(self) -> None:
        """End a wait."""
        with contextlib.suppress(OSError):
            self._wakes.send(b"x")

    def close(self) -> None:
        """Listen no more."""
        if self._connection is not None:
            _close(self._connection)
            self._connection = None
        self._wakes.close()
        self._woken.close()


class Voice:
    """Notifies channels, without waiting for the server. What is told often is told by a thread, at intervals.

    Concurrency: safe from any thread.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._wanted: set[str] = set()
        self._event = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._told: dict[str, float] = {}

    def tell(self, channel: str) -> None:
        """Wake those who listen to it: at once, or soon if they were told just now."""
        with self._lock:
            if self._closed:
                return
            if time.monotonic() - self._told.get(channel, 0.0) > APART and self._send(channel):
                return
            self._wanted.add(channel)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="plait-notify", daemon=True)
                self._thread.start()
        self._event.set()

    def _send(self, channel: str) -> bool:
        """Send a notification if there is a connection that has nothing to do; its answer is read the next time."""
        if self._connection is None:
            return False
        wire = self._connection.pgconn
        try:
            wire.consume_input()
            if wire.is_busy():
                return False
            while wire.get_result() is not None:
                pass
            wire.send_query(f"NOTIFY {channel}".encode())
            wire.flush()
        except psycopg.Error:
            self._hang_up()
            return False
        self._told[channel] = time.monotonic()
        return True

    def _hang_up(self) -> None:
        if self._connection is not None:
            _close(self._connection)
        self._connection = None

    def _work(self) -> None:
        while True:
            self._event.wait()
            self._event.clear()
            self._reach()
            with self._lock:
                self._wanted = {channel for channel in self._wanted if not self._send(channel)}
                lost = self._connection is None  # those who listen look by themselves
                if lost:
                    self._wanted.clear()
                if self._closed and not self._wanted:
                    break
                if self._wanted or self._closed:
                    self._event.set()
            time.sleep(APART)
        with self._lock:
            self._finish()

    def _reach(self) -> None:
        """Connect, if that is not so; without the lock, since it may take seconds."""
        if self._connection is not None:
            return
        connection = None
        try:
            connection = self._connect()
            connection.execute("SET synchronous_commit = off")
        except (psycopg.Error, StoreError):
            if connection is not None:
                _close(connection)
            return
        self._connection = connection

    def _finish(self) -> None:
        """Have the server take what was sent last; where it does not answer, without it."""
        if self._connection is not None:
            wire, until, poll = self._connection.pgconn, time.monotonic() + LAST, select.poll()
            poll.register(wire.socket, select.POLLIN)
            with contextlib.suppress(psycopg.Error):
                while wire.is_busy() and (left := until - time.monotonic()) > 0:  # else the driver waits with the GIL
                    if poll.poll(left * 1000):
                        wire.consume_input()
        self._hang_up()

    def close(self) -> None:
        """Tell what is left, and no more."""
        with self._lock:
            self._closed = True
        self._event.set()
        if self._thread is not None:
            self._thread.join(2 * LAST)


def _close(connection: psycopg.Connection[Any]) -> None:
    with contextlib.suppress(psycopg.Error):
        connection.close()
