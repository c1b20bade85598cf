"""A worker begins once and ends once; and the last word that a job says of itself is heard."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

import plait
from plait.jobs import current
from tests.contract.jobs.at_work import PATIENCE, at_work

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def jobs(tmp_path):
    with plait.Jobs(f"sqlite:///{tmp_path / 'jobs.db'}") as made:
        yield made


# --- beginning and ending -------------------------------------------------------------------------------------------


def test_a_worker_begins_once_and_ends_once(tmp_path, nothing_left):
    """Two would run under one name, and only one of them be ended."""
    with plait.Jobs(f"sqlite:///{tmp_path / 'jobs.db'}") as jobs:
        with jobs.worker() as worker:
            with pytest.raises(RuntimeError, match="has begun already"):
                worker.start()
            assert len(jobs.store.workers()) == 1
        assert worker.drain() == 0
        with pytest.raises(RuntimeError, match=r"has ended; make another one: jobs.worker\(\)"):
            worker.start()
        assert jobs.store.workers() == []


def test_a_worker_that_never_began_ends_without_a_word(jobs):
    assert jobs.worker().drain() == 0


def test_one_that_could_not_begin_may_be_asked_again(jobs, monkeypatch):
    worker = jobs.worker(pulse=False)
    with monkeypatch.context() as patch:
        patch.setattr(worker.store, "register", lambda info: (_ for _ in ()).throw(plait.StoreError("away")))
        with pytest.raises(plait.StoreError, match="away"):
            worker.start()
    worker.start()
    assert len(jobs.store.workers()) == 1
    assert worker.drain() == 0


def test_what_a_task_starts_can_be_ended_as_ever(jobs):
    """A seat leaves SIGTERM to its worker; processes of the task's own do not."""

    @jobs.task(model="processes")
    def starts():
        os.kill(os.getpid(), signal.SIGTERM)
        executed = subprocess.Popen(["sleep", "600"])
        executed.terminate()
        forked = os.fork()
        if not forked:
            time.sleep(600)
            os._exit(1)
        os.kill(forked, signal.SIGTERM)
        return [executed.wait(), os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])]

    with at_work(jobs):
        assert starts.enqueue().result(PATIENCE) == [-signal.SIGTERM, -signal.SIGTERM]


# --- the last word --------------------------------------------------------------------------------------------------


def test_the_last_of_many_words_is_heard(jobs, tmp_path, until):
    go_on = tmp_path / "go on"

    @jobs.task(model="threads")
    def blocks():
        for step in range(20):
            current().progress(step / 40, f"step {step}")
        while not go_on.exists():
            time.sleep(0.02)

    @jobs.task
    async def waits():
        for step in range(20):
            current().progress(step / 40, f"step {step}")
        while not go_on.exists():
            await asyncio.sleep(0.02)

    with at_work(jobs):
        for job in (blocks.enqueue(), waits.enqueue()):
            until(lambda job=job: job.show().note == "step 19", PATIENCE, what="the last word")
            assert job.progress == 19 / 40
        go_on.touch()


QUIET = """
import gc, plait
from plait.jobs import current

jobs = plait.Jobs("memory://")

@jobs.task
def works():
    current().progress(0.5)

@jobs.task
async def waits():
    current().progress(0.5)

with jobs.worker():
    works.enqueue().result(60), waits.enqueue().result(60)
gc.collect()
"""


def test_nothing_that_a_worker_opened_is_left_to_the_collector():
    """Whoever has warnings made errors, as tests often do, would have to answer for it."""
    command = [sys.executable, "-X", "dev", "-W", "always::ResourceWarning", "-c", QUIET]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
