"""One worker runs async, blocking and CPU-bound jobs side by side, each task under what its measurements call for."""

import asyncio
import os
import time
from contextlib import contextmanager

import pytest

import plait
from tests.contract.jobs.at_work import PATIENCE, at_work, queue, results

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def jobs(request):
    with queue("sqlite", request) as jobs:
        yield jobs


def three_kinds(jobs):
    @jobs.task
    def computes(n):
        until = time.thread_time() + 0.03
        while time.thread_time() < until:
            pass
        return os.getpid()

    @jobs.task
    def blocks(n):
        time.sleep(0.03)
        return os.getpid()

    @jobs.task
    async def waits(n):
        await asyncio.sleep(0.03)
        return os.getpid()

    return computes, blocks, waits


def test_each_task_gets_the_model_that_fits_it(jobs):
    computes, blocks, waits = three_kinds(jobs)
    handles = [task.enqueue_many([(n,) for n in range(60)]) for task in (waits, blocks, computes)]
    with at_work(jobs) as worker:
        ran = [results(of_task) for of_task in handles]
        report = worker.report
    assert report["waits"].model == "processes+async"
    assert report["blocks"].placement.place == "processes"
    assert report["blocks"].placement.style == "threads"
    assert "items wait" in " ".join(report["blocks"].reasons)
    assert report["computes"].placement.place == "processes"
    assert report["computes"].placement.width <= 2, "one at a time each, or a try with one more"
    assert report["blocks"].placement.width > 2
    assert all(os.getpid() not in pids for pids in ran), "auto never runs jobs in the worker's own process"


def test_a_model_can_be_asked_for(jobs):
    @jobs.task(model="threads")
    def in_here():
        return os.getpid()

    @jobs.task(model="processes")
    def in_a_process():
        return os.getpid()

    @jobs.task(model=plait.Placement("processes", "serial", 1, 1))
    def in_one_process(n):
        return os.getpid()

    with at_work(jobs) as worker:
        assert in_here.enqueue().result(PATIENCE) == os.getpid()
        assert in_a_process.enqueue().result(PATIENCE) != os.getpid()
        assert len(set(results(in_one_process.enqueue_many([(n,) for n in range(20)])))) == 1
        assert worker.report["in_here"].model == "threads"
        assert worker.report["in_a_process"].model == "processes"


def test_the_report_says_why_and_how_it_goes(jobs):
    @jobs.task
    def shaky(n):
        if n % 5 == 0:
            raise ValueError(n)
        return n

    with at_work(jobs) as worker:
        assert worker.report == {}
        handles = shaky.enqueue_many([(n,) for n in range(20)])
        for handle in handles:
            handle._client.awaiting.end_of(handle.id).result(PATIENCE)
        report = worker.report["shaky"]
    assert report.items == 16
    assert report.failures == 4
    assert report.to_dict()["stage"] == "shaky"
    assert "shaky" in report.explain()


def test_a_worker_with_two_hundred_tasks(jobs):
    def numbered(number):
        def add(n):
            return n + number

        return jobs.task(name=f"add-{number}")(add)

    tasks = [numbered(number) for number in range(200)]
    with at_work(jobs) as worker:
        handles = [task.enqueue(1) for task in tasks[::25]]
        assert results(handles) == [1 + number for number in range(0, 200, 25)]
        assert set(worker.report) == {f"add-{number}" for number in range(0, 200, 25)}


def test_resources_are_made_once_a_seat(jobs, calls):
    def open_session():
        calls.note("opened")
        return os.getpid()

    @jobs.task(model="processes", workers=2, resources={"session": open_session})
    def fetch(n, session=None):
        return session == os.getpid()

    with at_work(jobs):
        assert all(results(fetch.enqueue_many([(n,) for n in range(200)])))
    assert 1 <= calls.counts()["opened"] <= 2


def test_a_resource_is_what_happens_around_the_attempts_of_a_seat(jobs, calls, until):
    @contextmanager
    def session():
        calls.note("before")
        yield "session"
        calls.note("after")

    @jobs.task(model="processes", workers=1, resources={"session": session})
    def fetch(n, session=None):
        calls.note("during")

    with at_work(jobs):
        results(fetch.enqueue_many([(n,) for n in range(5)]))
    until(lambda: calls.counts()["after"] == 1, PATIENCE, what="the resource's end")
    assert [word for word, _ in calls.noted()] == ["before", *["during"] * 5, "after"]


def test_a_worker_that_has_outgrown_its_memory_is_replaced(jobs, until):
    @jobs.task(model="processes", workers=1, memory="250MiB")
    def hoard(n):
        kept = globals().setdefault("_kept", [])
        kept.append(bytearray(b"x" * (30 << 20)))
        return os.getpid()

    with at_work(jobs) as worker:
        pids = results(hoard.enqueue_many([(n,) for n in range(20)]))
        until(lambda: worker.report["hoard"].to_dict()["workers_recycled"] >= 1, PATIENCE, "a recycled worker")
    assert len(set(pids)) > 1
