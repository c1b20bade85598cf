"""Procrastinate on PostgreSQL, over psycopg; finished jobs are deleted."""

from __future__ import annotations

import asyncio
import os

from procrastinate import App, PsycopgConnector

from benchmarks.jobs import work
from benchmarks.jobs.stage import CORES, URL

CHUNK = 1000
app = App(connector=PsycopgConnector(conninfo=os.environ[URL]))
runner = asyncio.Runner()


@app.task(name="noop")
async def noop(number: int, text: str) -> None:
    work.noop(number, text)


async def _prepare() -> None:
    await app.open_async()
    await app.schema_manager.apply_schema_async()


def prepare() -> None:
    runner.run(_prepare())


def close() -> None:
    runner.run(app.close_async())
    runner.close()


async def _one_by_one(calls: list[work.Call]) -> None:
    for _kind, number in work.asking(calls):
        await noop.defer_async(number=number, text=work.TEXT)


def one_by_one(calls: list[work.Call]) -> None:
    runner.run(_one_by_one(calls))


async def _at_once(calls: list[work.Call]) -> None:
    for start in range(0, len(calls), CHUNK):
        some = calls[start : start + CHUNK]
        await noop.batch_defer_async(*({"number": number, "text": work.TEXT} for _, number in some))


def at_once(calls: list[work.Call]) -> None:
    runner.run(_at_once(calls))


def workers(purpose: str) -> list[list[str]]:
    command = ["-m", "procrastinate", "--log-level", "error", "--app", "benchmarks.jobs.apps.with_procrastinate.app"]
    return [[*command, "worker", "-c", "50", "--delete-jobs", "successful"] for _ in range(CORES)]
