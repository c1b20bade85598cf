"""RQ, with the worker that does not fork: some five times faster than the one that does."""

from __future__ import annotations

import os

from redis import Redis
from rq import Queue

from benchmarks.jobs import work
from benchmarks.jobs.stage import CORES, URL

queue = Queue(connection=Redis.from_url(os.environ[URL]))
FUNCTIONS = {function.__name__: function for function in (work.noop, work.block, work.crunch)}
CHUNK = 1000


def prepare() -> None:
    queue.empty()


def one_by_one(calls: list[work.Call]) -> None:
    for kind, number in work.asking(calls):
        queue.enqueue(FUNCTIONS[kind], number, work.TEXT, result_ttl=0)


def at_once(calls: list[work.Call]) -> None:
    for start in range(0, len(calls), CHUNK):
        some = calls[start : start + CHUNK]
        queue.enqueue_many(
            [Queue.prepare_data(FUNCTIONS[kind], (number, work.TEXT), result_ttl=0) for kind, number in some]
        )


def workers(purpose: str) -> list[list[str]]:
    count = 16 if purpose == "mixed" else CORES  # most of what is mixed waits
    pool = ["worker-pool", "-n", str(count), "-w", "rq.SimpleWorker", "-u", os.environ[URL], "-q"]
    return [["-m", "rq.cli", *pool, "default"]]
