"""Processes that are stopped for longer than a lease, and go on as if nothing had happened."""

import signal

import psutil
import pytest

from plait.jobs.protocol import State
from tests.faults.support.under_fault import family, pulses

pytestmark = pytest.mark.timeout(240)

LEASE = 3.0


def stop(processes):
    for process in processes:
        process.send_signal(signal.SIGSTOP)


def go_on(processes):
    for process in processes:
        process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("whole", [False, True], ids=["the worker itself", "with all its processes"])
def test_a_worker_that_was_stopped_begins_anew_and_its_results_are_refused(scene, until, whole):
    job = scene.app.gated.enqueue(0)
    first = scene.worker(lease=LEASE)
    until(lambda: scene.count("begin")[job.id], 60, "the job's first beginning")
    stopped = family(first) if whole else [psutil.Process(first.pid)]
    stop(stopped)
    second = scene.worker(lease=LEASE)
    until(lambda: scene.count("begin")[job.id] == 2, 90, "its beginning elsewhere")
    assert [view.info.pid for view in scene.store.workers()] == [second.pid]
    scene.go()
    until(lambda: job.state is State.DONE, 60, "its end")
    go_on(stopped)
    until(lambda: first.pid in {view.info.pid for view in scene.store.workers()}, 60, "the first worker's new lease")
    tokens = [said.token for said in scene.history() if said.what == "begin"]
    assert tokens[0] < tokens[1]
    assert job.result(1) == tokens[1] == scene.tokens()[job.id][1]
    second.kill()
    again = scene.app.fetch.enqueue(1)
    until(lambda: again.state is State.DONE, 60, "a job of the first worker's")
    assert scene.assert_all_ended() == {job.id: State.DONE, again.id: State.DONE}
    assert job.show().crashes == 1


@pytest.mark.parametrize("scene", ["sqlite"], indirect=True)
def test_a_seat_that_is_stopped_keeps_its_job(scene, until):
    """Its worker lives and says so: the job takes long, that is all."""
    job = scene.app.gated.enqueue(0)
    scene.worker(lease=LEASE)
    scene.worker(lease=LEASE)
    until(lambda: scene.count("begin")[job.id], 60, "the job's beginning")
    seats = [psutil.Process(pid) for pid in scene.seats()]
    stop(seats)
    until(scene.leases_over(), 60, "the end of all leases that were not renewed")
    scene.go()
    go_on(seats)
    until(lambda: job.state is State.DONE, 60, "its end")
    assert scene.count("begin")[job.id] == 1
    assert job.show().crashes == 0


@pytest.mark.parametrize("scene", ["sqlite"], indirect=True)
def test_a_seat_that_is_stopped_is_killed_by_its_timeout(scene, until):
    job = scene.app.hasty.enqueue(60)
    worker = scene.worker()
    until(lambda: scene.count("begin")[job.id], 60, "the job's beginning")
    stop([psutil.Process(pid) for pid in scene.seats()])
    until(lambda: job.state is State.FAILED, 60, "its end")
    assert "ItemTimeout" in job.show().error
    further = scene.app.hasty.enqueue(0)
    until(lambda: further.state is State.DONE, 60, "a job after it")
    assert worker.poll() is None


def test_workers_whose_pulses_are_gone_keep_their_leases(scene, until):
    """One's is stopped, the other's is killed; each looks whether the other has lost its lease."""
    job = scene.app.gated.enqueue(0)
    one, other = workers = [scene.worker(lease=LEASE) for _ in range(2)]
    until(lambda: scene.enlisted(2) and scene.count("begin")[job.id], 60, "two workers, and the job's beginning")
    until(lambda: all(map(pulses, workers)), 60, "their pulses")
    before = {view.id for view in scene.store.workers()}
    (stopped,), (killed,) = map(pulses, workers)
    stopped.send_signal(signal.SIGSTOP)
    killed.kill()
    until(lambda: pulses(other) not in ([], [killed]), 60, "another pulse")
    until(scene.leases_over(), 60, "the end of all leases that were not renewed")
    assert {view.id for view in scene.store.workers()} == before, "one has begun anew"
    scene.go()
    until(lambda: job.state is State.DONE, 60, "its end")
    assert scene.count("begin")[job.id] == 1
    assert job.show().crashes == 0
    assert [worker.poll() for worker in (one, other)] == [None, None]
