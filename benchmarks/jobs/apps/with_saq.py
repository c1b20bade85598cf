"""SAQ, on Redis or PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from saq import Queue

from benchmarks.jobs import work
from benchmarks.jobs.stage import CORES, URL

GATHERED = 50
queue = Queue.from_url(os.environ[URL])
runner = asyncio.Runner()


async def noop(context: Any, *, number: int, text: str) -> None:
    work.noop(number, text)


settings = {"queue": queue, "functions": [noop], "concurrency": 50}


def prepare() -> None:
    runner.run(queue.connect())


def close() -> None:
    runner.run(queue.disconnect())
    runner.close()


async def _one_by_one(calls: list[work.Call]) -> None:
    for kind, number in work.asking(calls):
        await queue.enqueue(kind, number=number, text=work.TEXT, ttl=-1)


def one_by_one(calls: list[work.Call]) -> None:
    runner.run(_one_by_one(calls))


async def _at_once(calls: list[work.Call]) -> None:
    for start in range(0, len(calls), GATHERED):
        some = calls[start : start + GATHERED]
        await asyncio.gather(*(queue.enqueue(kind, number=n, text=work.TEXT, ttl=-1) for kind, n in some))


def at_once(calls: list[work.Call]) -> None:
    runner.run(_at_once(calls))


def workers(purpose: str) -> list[list[str]]:
    return [["-m", "saq", "benchmarks.jobs.apps.with_saq.settings", "--workers", str(CORES), "--quiet"]]
