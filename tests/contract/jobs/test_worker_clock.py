"""The store's clock may be set, forwards and back, under a worker's feet: no running job suffers for it."""

import os
import time

import pytest

import plait
from plait.jobs.sqlite.store import SqliteStore
from tests.contract.jobs.at_work import PATIENCE, at_work, results

pytestmark = pytest.mark.timeout(300)


class Settable:
    """A clock that runs, and can be set."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead


@pytest.fixture
def clock():
    return Settable()


@pytest.fixture
def jobs(tmp_path, clock):
    store = SqliteStore(tmp_path / "jobs.db", clock=clock)
    with plait.Jobs(store.url, store=store) as jobs:
        yield jobs


def is_leased(jobs):
    return any(10 < worker.lease <= 15 for worker in jobs.store.workers())


@pytest.mark.parametrize("hours", [1, -1])
def test_a_running_job_goes_on(jobs, clock, calls, until, hours):
    gate = f"{calls.path}.gate"

    @jobs.task
    def work():
        calls.note("begun")
        while not os.path.exists(gate):
            time.sleep(0.01)
        return "done"

    @jobs.task
    def short(n):
        return n

    with at_work(jobs, pulse=False) as worker:
        job, me = work.enqueue(), worker.id
        until(lambda: calls.counts()["begun"] == 1, PATIENCE, what="the job's start")
        for jump in range(1, 6):
            clock.ahead = jump * hours * 3600.0
            until(lambda: is_leased(jobs), PATIENCE, what="a lease by the new time")
        assert results(short.enqueue_many([(n,) for n in range(20)])) == list(range(20))
        open(gate, "x").close()
        assert job.result(PATIENCE) == "done"
        assert worker.id == me
    assert calls.counts()["begun"] == 1
    assert job.show().crashes == 0


def test_what_is_due_by_the_new_time_runs(jobs, clock):
    @jobs.task
    def work():
        return "done"

    with at_work(jobs, pulse=False):
        job = work.with_(delay=3600).enqueue()
        assert job.state == "scheduled"
        clock.ahead = 3601.0
        assert job.result(PATIENCE) == "done"
