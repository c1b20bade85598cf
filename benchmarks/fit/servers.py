"""Local HTTP servers with a will of their own, each in its own process: an event loop, little work a request.

`fixed` answers after 50 ms, however many ask. `degrading` answers after 40 ms as long as at most 64 requests are in
progress; past that, the time grows with the square of their number, so that 128 get half of what 64 get.
`rejecting` answers after 50 ms, but 429 at once where 100 requests are in progress already.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from benchmarks.serving import serve
from benchmarks.serving import serving as process_serving

__all__ = ["serving"]

FIXED, HEALTHY, MOST_HEALTHY, MOST_ACCEPTED = 0.05, 0.04, 64, 100


class Answering(asyncio.Protocol):
    """One connection: a request at a time, answered by its own path."""

    kind: ClassVar[str]
    in_progress: ClassVar[int] = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.received.endswith(b"\r\n\r\n"):
            return
        path = self.received.split(b" ", 2)[1].removeprefix(b"/")
        self.received = b""
        delay = self.delay()
        if delay is None:
            self.answer(b"429 Too Many Requests", path)
            return
        Answering.in_progress += 1
        asyncio.get_running_loop().call_later(delay, self.done, path)

    def delay(self) -> float | None:
        """Seconds until the answer; `None`: it is refused."""
        ahead = Answering.in_progress
        if self.kind == "degrading":
            return HEALTHY * max(1.0, (ahead + 1) / MOST_HEALTHY) ** 2
        return None if self.kind == "rejecting" and ahead >= MOST_ACCEPTED else FIXED

    def done(self, path: bytes) -> None:
        Answering.in_progress -= 1
        self.answer(b"200 OK", path)

    def answer(self, status: bytes, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


@contextmanager
def serving(kind: str) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: its port and its process id."""
    with process_serving("benchmarks.fit.servers", kind) as found:
        yield found


if __name__ == "__main__":
    Answering.kind = sys.argv[1]
    asyncio.run(serve(Answering))
