"""A gateway before a server's Unix socket: it breaks a connection at words that a client says, before or after them."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Gateway:
    """Passes on what is said, until it is told to break a connection.

    Attributes:
        broken: how many connections it has broken.
    """

    def __init__(self, server: Path) -> None:
        self._server = server
        self._at: tuple[bytes, bool, Callable[[], object]] | None = None
        self.broken = 0

    def break_at(self, words: bytes, *, heard: bool, before: Callable[[], object] = lambda: None) -> None:
        """Break the next connection on which a client says `words`.

        Parameters:
            heard: whether the server hears them, and answers. before: called just before the connection breaks.
        """
        self._at = words, heard, before

    def serve(self, listener: socket.socket) -> None:
        """Take connections, each in a thread of its own, until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(str(self._server))
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 20)
                    if not data:
                        return
                    at = self._at if ready is client else None
                    if at is not None and at[0] in data:
                        self._at = None
                        if at[1]:
                            server.sendall(data)
                            server.recv(1 << 20)
                        at[2]()
                        self.broken += 1
                        return
                    (server if ready is client else client).sendall(data)


@contextmanager
def gateway(server: Path, folder: Path) -> Iterator[Gateway]:
    """One in `folder`, under the name that the server's socket has."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / server.name))
        listener.listen()
        made = Gateway(server)
        threading.Thread(target=made.serve, args=(listener,), daemon=True).start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
