"""Async functions: on one event loop, or on one in each worker."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from benchmarks.burn import MILLISECOND, burn, burnt
from benchmarks.fit.grid import loops, process_loops
from benchmarks.fit.workload import GATHER, Workload
from benchmarks.fit.workloads.waiting import Asking

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
#: Event loop -> its connections that are not in use.
_idle: WeakKeyDictionary[asyncio.AbstractEventLoop, deque[Connection]] = WeakKeyDictionary()


async def get(item: tuple[int, int]) -> int:
    """Ask the local server on a connection that nobody uses, or a new one."""
    port, number = item
    idle = _idle.setdefault(asyncio.get_running_loop(), deque())
    reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    body = await reader.readexactly(length)
    idle.append((reader, writer))
    return int(body)


async def sleep_fifty(x: int) -> int:
    await asyncio.sleep(0.05)
    return x


async def compute_and_sleep(x: int) -> int:
    await asyncio.sleep(0.01)
    return x + burn(2 * MILLISECOND)


class HttpAsync(Asking):
    name = "http-async"
    what = "async HTTP: a server that answers after 50 ms"
    full, quick, each = 10_000, 100, 50e-3
    server = "fixed"
    grid = (*loops(512, 256, 128, 64, 32, 16), *process_loops(256, 128, 64, 32))
    peers = GATHER
    fn = staticmethod(get)


class AsyncSleep(Workload):
    name = "async-sleep"
    what = "an async sleep of 50 ms"
    full, quick, each = 10_000, 200, 50e-3
    grid = (*loops(512, 256, 128, 64), *process_loops(256, 128, 64))
    peers = GATHER
    fn = staticmethod(sleep_fifty)

    def expected(self) -> Iterable[Any]:
        return range(self.size)


class AsyncComputing(Workload):
    name = "async-computing"
    what = "async: a sleep of 10 ms and pure Python of 2 ms"
    full, quick, each = 1_000, 30, 12e-3
    grid = (*process_loops(8, 4, 16, 32, 128), *loops(8, 16, 32, 128))
    peers = GATHER
    fn = staticmethod(compute_and_sleep)

    def expected(self) -> Iterable[Any]:
        return range(burnt(2 * MILLISECOND), burnt(2 * MILLISECOND) + self.size)
