"""PgQueuer over asyncpg (psycopg where that is missing, at half the rate), claiming a hundred at a time."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvloop
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.jobs import work
from benchmarks.jobs.stage import CORES, URL

try:
    import asyncpg
except ImportError:
    asyncpg = None

BATCH, CHUNK, THREADS = 100, 1000, 64
DRIVER = "asyncpg" if asyncpg else "psycopg"
NAMES = ("noop", "block", "nap", "crunch")
runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
_queries: list[Queries] = []
_connections: list[Any] = []


async def _connected() -> Any:
    if asyncpg is not None:
        return await asyncpg.connect(os.environ[URL])
    import psycopg

    return await psycopg.AsyncConnection.connect(os.environ[URL], autocommit=True)


async def _prepare() -> None:
    connection = await _connected()
    _connections.append(connection)
    made = Queries.from_asyncpg_connection if asyncpg is not None else Queries.from_psycopg_connection
    queries = made(connection)
    await queries.install()
    _queries.append(queries)


def prepare() -> None:
    runner.run(_prepare())


def close() -> None:
    runner.run(_connections[0].close())
    runner.close()


def _payload(number: int) -> bytes:
    return b"%d %s" % (number, work.TEXT.encode())


async def _one_by_one(calls: list[work.Call]) -> None:
    for kind, number in work.asking(calls):
        await _queries[0].enqueue(kind, _payload(number))


def one_by_one(calls: list[work.Call]) -> None:
    runner.run(_one_by_one(calls))


async def _at_once(calls: list[work.Call]) -> None:
    for start in range(0, len(calls), CHUNK):
        kinds, numbers = zip(*calls[start : start + CHUNK], strict=True)
        await _queries[0].enqueue(list(kinds), [_payload(number) for number in numbers], [0] * len(kinds))


def at_once(calls: list[work.Call]) -> None:
    runner.run(_at_once(calls))


def workers(purpose: str) -> list[list[str]]:
    return [["-m", "benchmarks.jobs.apps.with_pgqueuer"] for _ in range(CORES)]


async def work_on() -> None:
    """A worker, until it is killed: its own command line does not start with the typer of today."""
    connection = await _connected()
    made = PgQueuer.from_asyncpg_connection if asyncpg is not None else PgQueuer.from_psycopg_connection
    pgq = made(connection)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))

    def parts(job: Job) -> tuple[int, str]:
        number, _, text = (job.payload or b"").decode().partition(" ")
        return int(number), text

    @pgq.entrypoint("noop")
    async def noop(job: Job) -> None:
        work.noop(*parts(job))

    @pgq.entrypoint("nap")
    async def nap(job: Job) -> None:
        await work.nap(*parts(job))

    @pgq.entrypoint("block")
    async def block(job: Job) -> None:
        await asyncio.to_thread(work.block, *parts(job))

    @pgq.entrypoint("crunch")
    async def crunch(job: Job) -> None:
        await asyncio.to_thread(work.crunch, *parts(job))

    await pgq.run(batch_size=BATCH)


if __name__ == "__main__":
    uvloop.run(work_on())
