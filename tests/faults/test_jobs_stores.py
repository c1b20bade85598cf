"""Stores that cannot be written to for a while: workers live on, and what they have done is kept until it can be."""

import contextlib
import resource
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import apsw
import psutil
import pytest

from plait.jobs.protocol import State
from plait.jobs.records import Want, WorkerInfo
from tests.faults.support.under_fault import pulses

pytestmark = pytest.mark.timeout(240)
sqlite = pytest.mark.parametrize("scene", ["sqlite"], indirect=True)

LEASE = 3.0


def two_workers_with_jobs(scene, until):
    jobs = scene.app.gated.enqueue_many([(n,) for n in range(6)])
    workers = [scene.worker(lease=LEASE, FAULT_PATIENCE="1") for _ in range(2)]
    until(lambda: scene.enlisted(2), 60, "two workers")
    until(lambda: len(scene.count("begin")) == len(jobs), 60, "the beginning of all jobs")
    return jobs, workers


def assert_kept(scene, until, jobs, workers):
    until(lambda: scene.left() == 0, 60, "the end of all jobs")
    assert set(scene.assert_all_ended().values()) == {State.DONE}
    assert [scene.count("begin")[job.id] for job in jobs] == [1] * len(jobs), "jobs that were done ran again"
    assert [job.show().crashes for job in jobs] == [0] * len(jobs)
    assert [worker.poll() for worker in workers] == [None, None]
    further = scene.app.fetch.enqueue(0)
    until(lambda: further.state is State.DONE, 60, "a further job")


@sqlite
def test_a_file_that_is_locked_for_longer_than_anybody_waits(scene, until):
    """Longer than the lease, too: nobody can renew one, so nobody has lost one."""
    jobs, workers = two_workers_with_jobs(scene, until)
    blocker = apsw.Connection(scene.store.path)
    blocker.execute("BEGIN IMMEDIATE")
    over = scene.leases_over()
    scene.go()
    until(lambda: len(scene.count("end")) == len(jobs), 60, "the end of all functions")
    until(over, 60, "the end of all leases")
    assert "cannot be used just now" in scene.words()
    blocker.execute("ROLLBACK")
    blocker.close()
    assert_kept(scene, until, jobs, workers)
    assert "The store can be used again." in scene.words()


@sqlite
@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are set there only")
def test_a_disk_that_is_full(scene, until):
    """As full as it gets: not a byte can be written to any file."""
    jobs, workers = two_workers_with_jobs(scene, until)
    everybody = [psutil.Process(worker.pid) for worker in workers] + [p for w in workers for p in pulses(w)]
    before = [process.rlimit(resource.RLIMIT_FSIZE) for process in everybody]
    for process, (_, most) in zip(everybody, before, strict=True):
        process.rlimit(resource.RLIMIT_FSIZE, (0, most))
    over = scene.leases_over()
    scene.go()
    until(lambda: len(scene.count("end")) == len(jobs), 60, "the end of all functions")
    until(over, 60, "the end of all leases")
    assert {job.state for job in jobs} == {State.RUNNING}
    for process, limit in zip(everybody, before, strict=True):
        process.rlimit(resource.RLIMIT_FSIZE, limit)
    assert_kept(scene, until, jobs, workers)


@pytest.mark.parametrize("nth", [1, 4])
def test_a_turn_whose_answer_is_lost_may_have_claimed(scene, until, nth):
    """The transaction is committed, and then the connection breaks: jobs that nobody runs are handed back."""
    jobs = scene.app.flaky.enqueue_many([(n,) for n in range(6)])
    scene.worker(f"worker:turn:after:{nth}:FAIL")
    until(scene.met, 60, "a lost answer")
    until(lambda: scene.left() == 0, 60, "the end of all jobs")
    assert set(scene.assert_all_ended().values()) == {State.DONE}
    assert [job.attempt for job in jobs] == [3] * len(jobs), "an attempt was spent on what never ran"


@pytest.mark.parametrize("method", ["begin", "transact", "finish"])
def test_a_seat_that_cannot_use_the_store_does_not_fail_the_job(scene, until, method):
    """There are no retries: only the task's own errors count as attempts."""
    scene.store.write(lambda session: session.run("CREATE TABLE effect (job BIGINT)"))
    job = scene.app.pay.enqueue(0)
    worker = scene.store.register(WorkerInfo(host="elsewhere", pid=1))
    assert scene.store.turn(worker, (), [Want("pay", 1)]).claimed
    scene.store.recover(worker)
    scene.worker(f"seat:{method}:before:1:FAIL")
    until(scene.met, 60, "a store that cannot be used")
    until(lambda: scene.left() == 0, 60, "the end of the job")
    assert (job.state, job.attempt) == (State.DONE, 1)
    assert scene.rows("SELECT job FROM effect") == [(job.id,)]


@pytest.mark.parametrize("scene", ["postgres"], indirect=True)
@pytest.mark.parametrize("ending", ["recover", "leave"])
def test_a_claim_that_is_committed_while_its_worker_is_taken_for_dead_is_not_forgotten(scene, ending):
    """The worker was killed, its last COMMIT was on its way: whoever recovers it must see what that claimed."""
    job = scene.app.fetch.enqueue(0)
    store = scene.store
    worker = store.register(WorkerInfo(host="elsewhere", pid=1))
    claimed, others = threading.Event(), threading.Event()
    claim = store.claim

    def slow(*args):
        found = claim(*args)
        claimed.set()
        others.wait(60)
        return found

    store.claim = slow
    with ThreadPoolExecutor() as pool:
        turn = pool.submit(store.turn, worker, (), [Want("fetch", 1)])
        assert claimed.wait(60)
        end = pool.submit(getattr(store, ending), worker)
        with contextlib.suppress(TimeoutError):  # it has to wait; where it does not, it must not have missed the job
            end.result(1)
        others.set()
        assert len(turn.result(60).claimed) == 1
        assert end.result(60) == 1
    assert job.state is State.WAITING
    assert store.workers() == []
