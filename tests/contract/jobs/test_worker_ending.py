"""How jobs are cancelled, how a worker ends in good order, and what it leaves behind: nothing."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import psutil
import pytest

import plait
from plait.errors import JobCancelled, PlaitError
from plait.jobs.worker import lanes
from tests.contract.jobs.at_work import PATIENCE, at_work, queue, results

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["sqlite", "postgres"])
def jobs(request):
    with queue(request.param, request) as jobs:
        yield jobs


@pytest.fixture
def sqlite_jobs(request):
    with queue("sqlite", request) as jobs:
        yield jobs


# --- cancelling -----------------------------------------------------------------------------------------------------


def endless(jobs, calls):
    """Tasks of every kind that never end by themselves, and what they are called."""

    @jobs.task
    def computes():
        calls.note("begun")
        while True:
            pass

    @jobs.task
    def blocks():
        calls.note("begun")
        while True:
            time.sleep(0.05)

    @jobs.task
    async def waits():
        calls.note("begun")
        await asyncio.sleep(3600)

    return {"computes": computes, "blocks": blocks, "waits": waits}


@pytest.mark.parametrize("kind", ["computes", "blocks", "waits"])
def test_a_running_job_is_stopped(jobs, calls, until, kind):
    task = endless(jobs, calls)[kind]

    @jobs.task
    def other(n):
        return n

    with at_work(jobs):
        job = task.enqueue()
        until(lambda: calls.counts()["begun"] == 1, PATIENCE, what="the job's start")
        assert job.cancel() == "running", "until its worker has stopped it"
        with pytest.raises(JobCancelled):
            job.result(PATIENCE)
        assert results(other.enqueue_many([(n,) for n in range(3)])) == [0, 1, 2]
    assert job.state == "cancelled"
    assert calls.counts()["begun"] == 1


def test_a_waiting_job_is_never_begun(jobs, calls):
    @jobs.task
    def work(n):
        calls.note(n)

    job, later = work.enqueue(1), work.with_(delay=3600).enqueue(2)
    assert job.cancel() == later.cancel() == "cancelled"
    with at_work(jobs):
        work.enqueue(3).result(PATIENCE)
    assert list(calls.counts()) == ["3"]


# --- draining -------------------------------------------------------------------------------------------------------


def test_draining_lets_what_runs_end_and_claims_no_more(jobs, calls, until):
    @jobs.task(model=plait.Placement("processes", "serial", 1, 1))
    def work(n):
        calls.note(f"begun-{n}")
        time.sleep(0.4)
        return n

    handles = work.enqueue_many([(n,) for n in range(5)])
    worker = jobs.worker()
    worker.start()
    until(lambda: calls.noted(), PATIENCE, what="the first job's start")
    assert worker.drain(PATIENCE) == 0
    states = [job.state for job in handles]
    assert len(calls.noted()) == states.count("done") >= 1
    assert set(states) == {"done", "waiting"}
    assert jobs.store.workers() == []


def test_what_does_not_end_within_the_grace_is_handed_back_and_ended(jobs, calls, until):
    @jobs.task
    def work(path):
        calls.note(f"begun-{os.getpid()}")
        while not os.path.exists(path):
            time.sleep(0.02)
        return "done"

    gate = f"{calls.path}.gate"
    job = work.enqueue(gate)
    worker = jobs.worker()
    worker.start()
    until(lambda: calls.noted(), PATIENCE, what="the job's start")
    assert worker.drain(0.2) == 1
    assert job.state == "waiting"
    assert job.show().attempt == 0, "being handed back costs no attempt"
    pid = int(calls.noted()[0][0].partition("-")[2])
    until(lambda: not psutil.pid_exists(pid), PATIENCE, what="the end of the job's process")
    open(gate, "x").close()
    with at_work(jobs):
        assert job.result(PATIENCE) == "done"
    assert len(calls.noted()) == 2


APP = """
    import os
    import time
    import plait

    jobs = plait.Jobs(os.environ["STORE"])

    @jobs.task
    def quick(n):
        return n

    @jobs.task
    def slow(path):
        open(path, "x").close()
        time.sleep(1)
        return "ended"

    @jobs.task
    def stuck(path):
        open(path, "x").close()
        while True:
            pass
"""


@pytest.mark.parametrize("jobs", ["postgres"], indirect=True)  # tests of faults do it with SQLite
def test_plait_work_runs_jobs_and_drains_when_it_is_asked_to(jobs, tmp_path, until):
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))

    @jobs.task
    def quick(n): ...

    @jobs.task
    def slow(path): ...

    @jobs.task
    def stuck(path): ...

    command = [sys.executable, "-m", "plait", "work", "app:jobs", "--grace", "4"]
    environment = {**os.environ, "STORE": jobs.url}
    worker = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert results(quick.enqueue_many([(n,) for n in range(20)])) == list(range(20))
        ending, lasting = slow.enqueue(str(tmp_path / "slow")), stuck.enqueue(str(tmp_path / "stuck"))
        until(lambda: (tmp_path / "slow").exists() and (tmp_path / "stuck").exists(), PATIENCE, what="both begun")
        children = psutil.Process(worker.pid).children(recursive=True)
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=PATIENCE)
    finally:
        worker.kill()
        worker.wait()
    assert worker.returncode == 0
    assert "1 job handed back" in said
    assert ending.result(0) == "ended"
    assert lasting.state == "waiting"
    until(lambda: not any(child.is_running() for child in children), PATIENCE, what="the end of its processes")
    assert jobs.store.workers() == []


# --- nothing is left ------------------------------------------------------------------------------------------------


def test_a_worker_leaves_nothing_behind(tmp_path, until, nothing_left):
    with plait.Jobs(f"sqlite:///{tmp_path / 'jobs.db'}") as jobs:

        @jobs.task
        def computes(n):
            return sum(range(n))

        @jobs.task
        async def waits(n):
            return n

        with plait.default_pool(), at_work(jobs) as worker:
            assert results([computes.enqueue(100), waits.enqueue(2)]) == [4950, 2]
            assert worker.id > 0
        until(
            lambda: "plait-results" not in {thread.name for thread in threading.enumerate()},
            PATIENCE,
            what="the end of the thread that waits for results",
        )


def test_a_worker_that_is_never_started_or_cannot_start_leaves_nothing_behind(tmp_path, nothing_left):
    with plait.Jobs(f"sqlite:///{tmp_path / 'jobs.db'}") as jobs:
        jobs.worker()
        worker = jobs.worker()
        jobs.close()
        with pytest.raises(PlaitError):
            worker.start()


def test_a_lane_that_has_nothing_to_do_gives_its_processes_back(sqlite_jobs, monkeypatch, until):
    monkeypatch.setattr(lanes, "IDLE", 0.5)

    @sqlite_jobs.task(model="processes", workers=2)
    def work(n):
        return os.getpid()

    with at_work(sqlite_jobs) as worker:
        results(work.enqueue_many([(n,) for n in range(20)]))
        until(lambda: not worker.lanes.all(), PATIENCE, what="the end of the lane")
        assert worker.report["work"].items == 20, "what it did stays to be seen"
        assert work.enqueue(1).result(PATIENCE)
        assert worker.report["work"].items == 1


def test_workers_can_be_seen_at_work(jobs, until):
    @jobs.task
    def work():
        time.sleep(3600)

    with at_work(jobs, grace=0.0, queues=["default"], concurrency=7) as worker:
        work.enqueue()
        until(lambda: jobs.store.workers()[0].running == 1, PATIENCE, what="the job's start")
        (seen,) = jobs.store.workers()
        assert seen.id == worker.id
        assert seen.info.pid == os.getpid()
        assert seen.info.tasks == ("work",)
        assert (seen.info.queues, seen.info.slots) == (("default",), 7)
        assert 0 < seen.lease <= 15
        until(lambda: jobs.store.workers()[0].lease > seen.lease, PATIENCE, what="a renewal of the lease")
    assert jobs.store.workers() == []


def test_what_is_claimed_while_a_worker_begins_to_drain_ends(sqlite_jobs, calls):
    @sqlite_jobs.task(model="threads")
    def work(n):
        calls.note("begun")
        time.sleep(0.02)
        calls.note("ended")

    for n in range(25):
        worker = sqlite_jobs.worker(pulse=False)
        worker.start()
        work.enqueue(n).result(PATIENCE)
        work.enqueue(n)
        time.sleep(n * 0.0002)  # it is noticed, claimed and begun some time around here
        assert worker.drain(PATIENCE) == 0
        work.with_(priority=1).enqueue(n)
    assert calls.counts()["begun"] == calls.counts()["ended"]
