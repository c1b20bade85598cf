"""Huey, on SQLite (its own settings: WAL, and SQLite's synchronous=FULL) or Redis."""

from __future__ import annotations

import os

from huey import RedisHuey, SqliteHuey

from benchmarks.jobs import work
from benchmarks.jobs.stage import CORES, URL

ON_SQLITE = os.environ[URL].startswith("sqlite")
if ON_SQLITE:
    huey = SqliteHuey("bench", filename=os.environ[URL].removeprefix("sqlite:///"), results=False)
else:
    huey = RedisHuey("bench", url=os.environ[URL], results=False)
TASKS = {function.__name__: huey.task()(function) for function in (work.noop, work.block, work.crunch)}


def prepare() -> None:
    huey.pending_count()


def one_by_one(calls: list[work.Call]) -> None:
    for kind, number in work.asking(calls):
        TASKS[kind](number, work.TEXT)


def workers(purpose: str) -> list[list[str]]:
    polling = ["-d", "0.01", "-m", "0.05"] if ON_SQLITE else []
    crew = ["-k", "process", "-w", str(CORES)]
    target = "benchmarks.jobs.apps.with_huey.huey"
    return [["-m", "huey.bin.huey_consumer", target, *crew, *polling, "-n", "-C", "-q"]]
