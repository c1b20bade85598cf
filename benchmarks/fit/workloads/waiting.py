"""Items that wait: for the clock, or for a server that has its own ideas of how many may wait at once."""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from benchmarks.burn import MILLISECOND, burn, burnt
from benchmarks.fit.grid import SERIAL, process_threads, processes, threads
from benchmarks.fit.servers import serving
from benchmarks.fit.workload import Workload

#: A connection for each thread.
_local = threading.local()


class TooMany(Exception):
    """The server answered 429."""


def sleep_twenty(x: int) -> int:
    time.sleep(0.02)
    return x


def sleep_hundred(x: int) -> int:
    time.sleep(0.1)
    return x


def half_and_half(x: int) -> int:
    time.sleep(0.005)
    return x + burn(5 * MILLISECOND)


def get(item: tuple[int, int]) -> int:
    """Ask the local server on this thread's connection.

    Raises:
        TooMany: it answered 429.
    """
    port, number = item
    if getattr(_local, "owner", None) != (os.getpid(), port):
        _local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        _local.owner = os.getpid(), port
    try:
        _local.connection.request("GET", f"/{number}")
        response = _local.connection.getresponse()
        body = response.read()
    except BaseException:
        _local.owner = None
        raise
    if response.status == 429:
        raise TooMany(number)
    return int(body)


class Sleep20(Workload):
    name = "sleep-20ms"
    what = "a sleep of 20 ms"
    full, quick, each = 5_000, 200, 20e-3
    grid = (*threads(256, 512, 128, 64, 32, 16), *process_threads(256, 128, 64, 32), SERIAL)
    fn = staticmethod(sleep_twenty)

    def expected(self) -> Iterable[Any]:
        return range(self.size)


class Sleep100(Workload):
    name = "sleep-100ms"
    what = "a sleep of 100 ms, few of them"
    full, quick, each = 400, 20, 100e-3
    grid = (*threads(256, 512, 128, 64, 32, 16), *process_threads(128, 64, 32), SERIAL)
    fn = staticmethod(sleep_hundred)

    def expected(self) -> Iterable[Any]:
        return range(self.size)


class HalfAndHalf(Workload):
    name = "half-and-half"
    what = "a sleep of 5 ms and pure Python of 5 ms"
    full, quick, each = 500, 20, 10e-3
    grid = (*process_threads(2, 4, 8, 16), *processes(), *processes(4, 8), *threads(2, 4, 16), SERIAL)
    fn = staticmethod(half_and_half)

    def expected(self) -> Iterable[Any]:
        return range(burnt(5 * MILLISECOND), burnt(5 * MILLISECOND) + self.size)


class Asking(Workload):
    """Requests to a local server of the kind `server`."""

    server: ClassVar[str]

    @contextmanager
    def setting(self) -> Iterator[None]:
        with serving(self.server) as (port, pid):
            self.port = port
            self.aside.append(pid)
            yield

    def items(self) -> Iterable[Any]:
        return [(self.port, number) for number in range(self.size)]

    def expected(self) -> Iterable[Any]:
        return range(self.size)


class HttpBlocking(Asking):
    name = "http-blocking"
    what = "blocking HTTP: a server that answers after 50 ms; a connection for each thread"
    full, quick, each = 3_000, 100, 50e-3
    server = "fixed"
    grid = (*threads(256, 512, 128, 64, 32, 16), *process_threads(256, 128, 64, 32, 16), SERIAL)
    fn = staticmethod(get)


class Degrading(Asking):
    name = "degrading"
    what = "blocking HTTP: a server whose service degrades steeply past 64 requests in progress"
    full, quick, each = 2_000, 100, 50e-3
    server = "degrading"
    grid = (*threads(64, 32, 16, 48, 80, 96, 128, 256), *process_threads(32, 16, 8, 64), SERIAL)
    fn = staticmethod(get)


class Rejecting(Asking):
    name = "rejecting"
    what = "blocking HTTP: a server that answers 429 past 100 requests in progress; failed attempts are retried"
    full, quick, each = 2_500, 150, 50e-3
    server = "rejecting"
    retries: ClassVar[dict[str, Any] | None] = {"times": 50, "backoff": 0.05, "longest": 0.5}
    grid = (*threads(96, 64, 128, 32, 256, 512), *process_threads(48, 32, 64, 128), *processes(), SERIAL)
    fn = staticmethod(get)
