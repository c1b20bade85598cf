"""Plait: a SQLite file or PostgreSQL, whatever the URL says."""

from __future__ import annotations

import os

import plait
from benchmarks.jobs import work
from benchmarks.jobs.stage import URL

#: Seconds for which results are kept, where a row says so.
KEEP = "PLAIT_BENCH_KEEP"

jobs = plait.Jobs(os.environ[URL], keep=float(os.environ.get(KEEP, "86400")))
TASKS = {task.name: task for task in map(jobs.task, (work.noop, work.block, work.nap, work.crunch, work.hold))}


def prepare() -> None:
    jobs.store.queues()


def one_by_one(calls: list[work.Call]) -> None:
    for kind, number in work.asking(calls):
        TASKS[kind].enqueue(number, work.TEXT)


def at_once(calls: list[work.Call]) -> None:
    for kind in dict.fromkeys(kind for kind, _ in calls):
        TASKS[kind].enqueue_many([(number, work.TEXT) for known, number in calls if known == kind])


def workers(purpose: str) -> list[list[str]]:
    return [["-m", "plait", "work", "benchmarks.jobs.apps.with_plait:jobs", "--quiet"]]
