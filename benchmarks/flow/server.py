"""A local HTTP server in its own process: every page comes 20 ms after it was asked for, however many ask.

An event loop and a bare protocol, some 50 us of CPU a request: it shares the machine with the flow that is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.flow.work import page_of
from benchmarks.serving import serve
from benchmarks.serving import serving as process_serving

__all__ = ["DELAY", "serving"]

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


@contextmanager
def serving() -> Iterator[int]:
    """A server, and its port."""
    with process_serving("benchmarks.flow.server") as (port, _):
        yield port


if __name__ == "__main__":
    from benchmarks.coroutines import on_best_loop

    on_best_loop(serve(Answering))
