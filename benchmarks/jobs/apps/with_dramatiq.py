"""Dramatiq on Redis. An async actor only blocks a thread of it, so `nap` is a blocking one here."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.jobs import work
from benchmarks.jobs.stage import CORES, URL

broker = RedisBroker(url=os.environ[URL])
dramatiq.set_broker(broker)
TASKS = {function.__name__: dramatiq.actor(function) for function in (work.noop, work.block, work.crunch)}


def prepare() -> None:
    broker.flush_all()


def one_by_one(calls: list[work.Call]) -> None:
    for kind, number in work.asking(calls):
        TASKS[kind].send(number, work.TEXT)


def workers(purpose: str) -> list[list[str]]:
    threads = "32" if purpose == "mixed" else "8"
    return [["-m", "dramatiq", "-p", str(CORES), "-t", threads, "benchmarks.jobs.apps.with_dramatiq"]]
