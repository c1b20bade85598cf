"""Workers that are killed, at every place where they use the store: nothing is lost, and nothing counts twice."""

import signal
import time

import psutil
import pytest

from plait.jobs.protocol import State
from plait.jobs.records import Want, WorkerInfo
from tests.faults.support.mixture import Mixture

pytestmark = pytest.mark.timeout(240)

POINTS = [
    "worker:register:after",
    "worker:turn:before",
    "worker:turn:after",
    "seat:begin:after",
    "seat:transact:after",
    "seat:finish:before",
    "seat:finish:after",
]
FURTHER = [
    "worker:register:before",
    "worker:unwanted:after",
    "worker:upkeep:before",
    "worker:upkeep:after",
    "worker:recover:before",
    "worker:recover:after",
    "worker:note:before",
    "worker:note:after",
    "worker:running:after",
    "worker:leave:before",
    "worker:leave:after",
    "worker:put_schedule:before",
    "worker:put_schedule:after",
    "worker:fire:before",
    "worker:fire:after",
    "pulse:beat:before",
    "pulse:beat:after",
    "seat:begin:before",
    "seat:transact:before",
]
OFTEN = [("sqlite", point) for point in POINTS] + [("postgres", "worker:turn:after"), ("postgres", "seat:finish:after")]
ALL = [(store, point) for store in ("sqlite", "postgres") for point in (*POINTS, *FURTHER)]
CASES = [*OFTEN, *(pytest.param(*case, marks=pytest.mark.nightly) for case in ALL if case not in OFTEN)]


def suspect(scene, *tasks):
    """Have one job of each task lose a worker before it began."""
    worker = scene.store.register(WorkerInfo(host="elsewhere", pid=1))
    claimed = scene.store.turn(worker, (), [Want(task, 1) for task in tasks]).claimed
    assert len(claimed) == len(tasks)
    scene.store.recover(worker)


@pytest.mark.parametrize(("scene", "point"), CASES, indirect=["scene"])
def test_a_process_is_killed_at(scene, until, point):
    """At its first call of this kind, or (a turn) at one that has jobs to settle; others do the rest."""
    jobs = Mixture(scene)
    suspect(scene, "wait", "pay")
    if "recover" in point:  # somebody has to be gone: whose lock is free, but who is registered
        gone = scene.worker()
        until(lambda: scene.count("begin"), 60, "a job that has begun")
        gone.kill()
        gone.wait()
    nth = 4 if ":turn:" in point else 1
    worker = scene.worker(f"{point}:{nth}:KILL", FAULTS_SCHEDULE="1" if "schedule" in point or "fire" in point else "")
    if ":leave:" in point:
        until(lambda: scene.count("begin"), 60, "a job that has begun")
        worker.send_signal(signal.SIGTERM)
    until(scene.met, 60, f"a kill at {point}")
    if point.startswith("worker"):
        worker.wait(60)
    helper = scene.worker()
    until(lambda: scene.left() == 0, 90, "the end of all jobs")
    jobs.assert_whole(kills=3)
    assert helper.poll() is None


def chaos(scene, until, rounds, seed):
    """Two workers at a time, each with a death at random before it, until `rounds` of them are dead."""
    jobs = Mixture(scene, 1 + rounds // 25)
    died = started = 0
    crew = []
    until_then = time.monotonic() + 10 * rounds
    while died < rounds and time.monotonic() < until_then:
        while len(crew) < 2:
            started += 1
            crew.append(scene.worker(f"random:{seed}-{started}:0.006"))
        gone, crew = psutil.wait_procs(crew, timeout=0.2)
        died += len(gone)
        if not scene.left():
            jobs.assert_whole(kills=len(scene.met()))
            jobs = Mixture(scene)
    for worker in crew:
        worker.kill()
    scene.worker()
    scene.worker()
    until(lambda: scene.left() == 0, 120, "the end of all jobs")
    assert died >= rounds
    jobs.assert_whole(kills=len(scene.met()) + len(crew))


@pytest.mark.slow
def test_workers_die_at_random_places_one_after_the_other(scene, until):
    chaos(scene, until, 4, seed="few")


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", ["one", "two"])
def test_a_hundred_workers_die_at_random_places(scene, until, seed):
    chaos(scene, until, 100, seed)


@pytest.mark.parametrize("scene", ["sqlite"], indirect=True)
def test_jobs_that_a_dead_worker_had_in_hand_do_not_wait_for_each_other(scene, until):
    """Each is alone in a process, so that it can be told which of them kills; but not alone in the worker."""
    jobs = [scene.app.gated.enqueue(n) for n in range(2)]
    worker = scene.store.register(WorkerInfo(host="elsewhere", pid=1))
    assert len(scene.store.turn(worker, (), [Want("gated", 2)]).claimed) == 2
    scene.store.recover(worker)
    scene.worker()
    until(lambda: len(scene.count("begin")) == 2, 60, "both beginnings, before any end")
    assert len(scene.seats()) >= 2
    scene.go()
    until(lambda: scene.left() == 0, 60, "the end of all jobs")
    assert [job.state for job in jobs] == [State.DONE] * 2


@pytest.mark.parametrize("scene", ["sqlite"], indirect=True)
def test_the_kernel_tells_of_a_death_not_the_lease(scene, until):
    """The lease is an hour, so nobody but the kernel can have told."""
    job = scene.app.stuck.enqueue(0)
    first = scene.worker(lease=3600)
    until(lambda: scene.count("begin")[job.id], 60, "the job's first beginning")
    scene.worker(lease=3600)
    until(lambda: scene.enlisted(2), 60, "a second worker")
    first.kill()
    until(lambda: scene.count("begin")[job.id] == 2, 60, "the job's second beginning")
    until(lambda: job.state is State.DONE, 60, "its end")
    view = job.show()
    assert (view.attempt, view.crashes) == (1, 1)
