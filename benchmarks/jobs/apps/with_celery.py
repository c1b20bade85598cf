"""Celery on Redis: results ignored, no gossip, mingle or heartbeats."""

from __future__ import annotations

import os
from itertools import islice

from celery import Celery, group

from benchmarks.jobs import work
from benchmarks.jobs.stage import CORES, URL

#: Its pool, where a row says so.
POOL = "PLAIT_BENCH_POOL"
CHUNK = 1000

app = Celery("bench", broker=os.environ[URL])
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=64,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)
TASKS = {
    function.__name__: app.task(name=function.__name__)(function) for function in (work.noop, work.block, work.crunch)
}


def prepare() -> None:
    app.control.purge()


def one_by_one(calls: list[work.Call]) -> None:
    for kind, number in work.asking(calls):
        TASKS[kind].delay(number, work.TEXT)


def at_once(calls: list[work.Call]) -> None:
    rest = iter(calls)
    while some := list(islice(rest, CHUNK)):
        group(TASKS[kind].s(number, work.TEXT) for kind, number in some).apply_async()


def workers(purpose: str) -> list[list[str]]:
    pool = os.environ.get(POOL, "prefork")
    width = {"prefork": str(16 if purpose == "mixed" else CORES), "threads": "64"}[pool]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
    return [["-m", "celery", "-A", "benchmarks.jobs.apps.with_celery", "worker", "-P", pool, "-c", width, *quiet]]
