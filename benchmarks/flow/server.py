"""A local HTTP server in its own process: every page comes 20 ms after it was asked for, however many ask.

An event loop and a bare protocol, some 50 us of CPU a request: it shares the machine with the flow that is measured.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.flow.work import page_of

__all__ = ["DELAY", "serving"]

ROOT = Path(__file__).resolve().parent.parent.parent
DELAY = 0.02


class Answering(asyncio.Protocol):
    """One connection: a request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.later = asyncio.get_running_loop().call_later
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b"\r\n\r\n"):
            number = int(self.received[5 : self.received.index(b" ", 5)])  # GET /17 HTTP/1.1
            self.received = b""
            self.later(DELAY, self.answer, number)

    def answer(self, number: int) -> None:
        if not self.transport.is_closing():
            page = page_of(number)
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(page) + page)  # type: ignore[attr-defined]


async def serve() -> None:
    """Serve until standard input is closed, which happens when whoever started this is gone."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    gone = asyncio.Event()
    loop.add_reader(sys.stdin, gone.set)
    await gone.wait()


@contextmanager
def serving() -> Iterator[int]:
    """A server, and its port."""
    command = [sys.executable, "-m", "benchmarks.flow.server"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield int(process.stdout.readline())  # type: ignore[union-attr]
        finally:
            process.kill()


if __name__ == "__main__":
    from benchmarks.coroutines import on_best_loop

    on_best_loop(serve())
