"""The functions and sources that plait and every peer are given: the very same objects, importable by any worker.

`fetch` (async, waits) -> `parse` (3 ms of Python) -> `store` (blocks 2 ms) is the flow that everybody writes. A page is
4 KB and begins with its number, so that each result can be checked against the item that it came from. Results carry
the CPU seconds that parsing took: on a machine whose speed drifts, the bound of a run is what *its* items cost.

It imports next to nothing: no engine's workers pay for what the work does not need.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary

__all__ = ["expected", "fetch", "page_of", "parse", "store", "urls", "wrong_pages"]

DIGITS, PAGE_BYTES = 8, 4096
#: So many times `parse` goes over a page: about 3 ms on the machines of today. The bound is measured, not assumed.
PASSES = 16
STORE_SECONDS = 0.002
Record = tuple[int, int, float]
FILLER = (b"<p>The flow carries what the wind has dropped: items, pages, rows.</p>\n" * 60)[: PAGE_BYTES - DIGITS]


# --- fetch: HTTP/1.1 with kept connections, as light as Python allows ------------------------------------------------


class Connection(asyncio.Protocol):
    """One kept connection, one request at a time."""

    answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.received = b""
        self.length = -1

    def get(self, request: bytes) -> asyncio.Future[bytes]:
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)  # type: ignore[attr-defined]
        return self.answer

    def data_received(self, data: bytes) -> None:
        self.received = received = self.received + data if self.received else data
        if self.length < 0:
            head = received.find(b"\r\n\r\n")
            if head < 0:
                return
            self.start = head + 4
            self.length = self.start + int(received[received.index(b"Content-Length: ") + 16 : head])
        if len(received) >= self.length:
            page, self.received, self.length = received[self.start :], b"", -1
            if self.answer is not None and not self.answer.done():
                self.answer.set_result(page)

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error or ConnectionResetError("the server has closed the connection"))


#: Each loop's idle connections: they belong to the loop that made them.
_IDLE: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Connection]] = WeakKeyDictionary()


async def fetch(url: str) -> bytes:
    """The page at `http://127.0.0.1:PORT/NUMBER`."""
    loop = asyncio.get_running_loop()
    idle = _IDLE.get(loop)
    if idle is None:
        idle = _IDLE[loop] = []
    _scheme, _, host, path = url.split("/")
    if idle:
        connection = idle.pop()
    else:
        name, _, port = host.partition(":")
        _transport, connection = await loop.create_connection(Connection, name, int(port))
    try:
        page = await connection.get(b"GET /%b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path.encode(), host.encode()))
    except BaseException:  # cancelled, too: its answer may still come, and would be taken for the next one's
        connection.transport.close()
        raise
    idle.append(connection)
    return page


# --- parse and store ------------------------------------------------------------------------------------------------


def parse(page: bytes) -> Record:
    """The page's number, a checksum of it that takes 3 ms of pure Python, and the CPU seconds that it took here."""
    before = time.thread_time()
    total = 0
    for _ in range(PASSES):
        for byte in page:
            total += byte * byte % 7
    return int(page[:DIGITS]), total, time.thread_time() - before


def store(record: Record) -> Record:
    """Block for 2 ms, as a database's driver does."""
    time.sleep(STORE_SECONDS)
    return record


def page_of(number: int) -> bytes:
    """What the server answers."""
    return b"%0*d" % (DIGITS, number) + FILLER


def expected(number: int) -> tuple[int, int]:
    """What becomes of a page, at C speed."""
    squares = bytes(byte * byte % 7 for byte in range(256))
    return number, PASSES * sum(page_of(number).translate(squares))


def urls(port: int, count: int) -> Iterator[str]:
    """A source without a length."""
    for number in range(count):
        yield f"http://127.0.0.1:{port}/{number}"


def wrong_pages(results: Iterable[Record], count: int, ordered: bool) -> str | None:
    """What is wrong with a flow's results; `None`: they are complete, right, and in order where they should be."""
    found = [(number, total) for number, total, _ in results]
    wanted = [expected(number) for number in range(count)]
    if (found if ordered else sorted(found)) == wanted:
        return None
    if sorted(found) == wanted:
        return "the results are right, but not in order"
    return f"{len(found)} results for {count} items, {len(set(found) & set(wanted))} of them right"
