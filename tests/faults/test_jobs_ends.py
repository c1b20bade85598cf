"""Ends of a worker: asked for, hurried, or violent; no process outlives it, and every job has somewhere to be."""

import os
import signal

import apsw
import pytest

from plait.jobs.protocol import State
from tests.faults.support.under_fault import family

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("scene", ["sqlite"], indirect=True)]


@pytest.fixture
def busy(scene, until):
    """Starts a worker that has a job in hand, and everything that comes with it."""

    def start(task, *args, **more):
        job = task.enqueue(0)
        worker = scene.worker(args=args, **more)
        until(lambda: scene.count("begin")[job.id], 60, "the job's beginning")
        everybody = family(worker)
        assert len(everybody) >= 4, "worker, pulse, starter, seat"
        return job, worker, everybody

    return start


@pytest.fixture
def gone(until):
    """Waits until processes have ended."""
    return lambda processes: until(lambda: not [p for p in processes if p.is_running()], 30, "the end of all processes")


def test_running_jobs_may_end(scene, until, busy, gone):
    job, worker, everybody = busy(scene.app.gated, "--grace", "600")
    worker.terminate()
    until(lambda: "Ending: 1 job in hand may take 600 s more." in scene.words(), 60, "the beginning of the end")
    later = scene.app.fetch.enqueue(0)
    scene.go()
    assert worker.wait(60) == 0
    gone(everybody)
    assert (job.state, later.state) == (State.DONE, State.WAITING)
    assert scene.store.workers() == []


def test_ctrl_c_on_a_terminal_reaches_the_worker_alone(scene, until, busy, gone):
    """The terminal sends it to the whole group."""
    job, worker, everybody = busy(scene.app.gated, "--grace", "600")
    os.killpg(worker.pid, signal.SIGINT)
    until(lambda: "Ending" in scene.words(), 60, "the beginning of the end")
    scene.go()
    assert worker.wait(60) == 0
    gone(everybody)
    assert job.state is State.DONE


def test_what_does_not_end_in_time_is_handed_back(scene, busy, gone):
    job, worker, everybody = busy(scene.app.stuck, "--grace", "0.5")
    worker.terminate()
    assert worker.wait(60) == 0
    gone(everybody)
    view = job.show()
    assert (view.state, view.attempt, view.crashes) == (State.WAITING, 0, 0)
    assert "1 job handed back" in scene.words()
    assert scene.store.workers() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_hurries(scene, until, busy, gone, number, code):
    job, worker, everybody = busy(scene.app.stuck, "--grace", "600")
    worker.send_signal(number)
    until(lambda: "Ending" in scene.words(), 60, "the beginning of the end")
    worker.send_signal(number)
    assert worker.wait(60) == code
    gone(everybody)
    view = job.show()
    assert (view.state, view.attempt, view.crashes) == (State.WAITING, 0, 0)


def test_nothing_outlives_a_worker_that_is_killed(scene, until, busy, gone):
    job, worker, everybody = busy(scene.app.stuck)
    worker.kill()
    worker.wait(60)
    gone(everybody)
    assert job.state is State.RUNNING
    scene.worker()
    until(lambda: job.state is State.DONE, 60, "its end elsewhere")


def test_an_end_while_the_store_cannot_be_used(scene, until, busy, gone):
    """It ends all the same; what it had done is done again by others, and nothing more is lost."""
    blocker = apsw.Connection(scene.store.path)
    job, worker, everybody = busy(scene.app.gated, "--grace", "1", FAULT_PATIENCE="1")
    blocker.execute("BEGIN IMMEDIATE")
    scene.go()
    until(lambda: scene.count("end")[job.id], 60, "the end of the function")
    worker.terminate()
    worker.wait(120)
    gone(everybody)
    blocker.execute("ROLLBACK")
    blocker.close()
    scene.worker()
    until(lambda: job.state is State.DONE, 60, "its end elsewhere")
    assert scene.count("begin")[job.id] == 2
