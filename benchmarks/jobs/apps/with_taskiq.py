"""taskiq on Redis streams, the broker of its that acknowledges. Plain functions run in its threads."""

from __future__ import annotations

import asyncio
import os

from taskiq_redis import RedisStreamBroker

from benchmarks.jobs import work
from benchmarks.jobs.stage import CORES, URL

broker = RedisStreamBroker(os.environ[URL], consumer_id="0", maxlen=None)
NAMES = ("noop", "block", "nap", "crunch")
TASKS = {name: broker.task(task_name=name)(getattr(work, name)) for name in NAMES}
GATHERED = 100
runner = asyncio.Runner()


def prepare() -> None:
    runner.run(broker.startup())


def close() -> None:
    runner.run(broker.shutdown())
    runner.close()


async def _one_by_one(calls: list[work.Call]) -> None:
    for kind, number in work.asking(calls):
        await TASKS[kind].kiq(number, work.TEXT)


def one_by_one(calls: list[work.Call]) -> None:
    runner.run(_one_by_one(calls))


async def _at_once(calls: list[work.Call]) -> None:
    for start in range(0, len(calls), GATHERED):
        await asyncio.gather(*(TASKS[kind].kiq(n, work.TEXT) for kind, n in calls[start : start + GATHERED]))


def at_once(calls: list[work.Call]) -> None:
    runner.run(_at_once(calls))


def workers(purpose: str) -> list[list[str]]:
    width = ["--workers", str(CORES), "--max-async-tasks", "100", "--max-prefetch", "100"]
    threads = ["--max-threadpool-threads", "64"] if purpose == "mixed" else []
    target = "benchmarks.jobs.apps.with_taskiq:broker"
    return [["-m", "taskiq", "worker", target, *width, *threads, "--log-level", "ERROR"]]
