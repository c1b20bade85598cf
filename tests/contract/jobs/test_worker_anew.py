"""A worker that begins anew while it ends, one that cannot have a pulse, and one that cannot begin at all."""

import sys
import threading
import time

import pytest

from plait.errors import StoreError
from plait.jobs.memory.store import MemoryStore
from plait.jobs.protocol import State
from plait.jobs.records import Want, WorkerInfo
from plait.jobs.worker.worker import Worker
from tests.contract.jobs.at_work import PATIENCE, at_work, queue

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def jobs(request):
    with queue("sqlite", request) as jobs:
        yield jobs


def test_one_that_loses_its_lease_while_it_drains_claims_nothing_more(jobs, until):
    """It is told apart from others by its new number; what it had comes back to those that go on."""
    task = jobs.task(name="hold", model="processes")(lambda seconds: time.sleep(seconds))
    worker = jobs.worker()
    worker.start()
    first, ended = worker.id, threading.Event()
    job = task.enqueue(3600)
    until(lambda: job.state == "running", PATIENCE, "the job to run")
    draining = threading.Thread(target=worker.drain, args=(PATIENCE, ended.is_set))
    draining.start()
    try:
        until(lambda: not worker.keeper.accepting, PATIENCE, "the worker to drain")
        jobs.store.recover(first)
        until(lambda: worker.id != first, PATIENCE, "the worker to begin anew")
        task.enqueue(3600)
        until(lambda: worker.keeper.flushed(), PATIENCE, "the new keeper to have a look")
        begun = sum(view.running for view in jobs.store.workers())  # it may have ended already
    finally:
        ended.set()
        draining.join()
    assert begun == 0
    assert not jobs.store.workers()
    assert not [thread.name for thread in threading.enumerate() if thread.name == "plait-keeper"]


def test_one_for_whose_pulse_there_is_no_process_renews_its_lease_itself(jobs, until, monkeypatch):
    task = jobs.task(name="double", model="threads")(lambda n: 2 * n)
    found = sys.executable
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with at_work(jobs) as worker:
        assert worker._pulse is None
        jobs.store.write(lambda session: session.run("UPDATE plait_worker SET until = until - 5"))
        until(lambda: jobs.store.workers()[0].lease > 12, PATIENCE, "the lease to be renewed")
        assert task.enqueue(21).result(PATIENCE) == 42
        monkeypatch.setattr(sys, "executable", found)
        until(lambda: worker._pulse is not None and worker._pulse.alive, PATIENCE, "the pulse to be there after all")


def test_one_that_cannot_listen_leaves_nothing_behind():
    class Deaf(MemoryStore):
        def listen(self, *, ends=False):
            raise StoreError("no place is left for another listener")

    store, before = Deaf(), threading.active_count()
    with pytest.raises(StoreError, match="no place is left"):
        Worker(store, {}, pulse=False).start()
    assert store.workers() == []
    assert threading.active_count() <= before + 1  # its letterbox is being closed


def test_a_job_in_memory_that_has_lost_a_worker_runs_where_its_store_is():
    """Apart, as everywhere, but in this process: no other could tell whether the job is still the worker's."""
    import plait

    with plait.Jobs("memory://") as jobs:
        task = jobs.task(name="double")(lambda n: 2 * n)

        @jobs.task
        async def triple(n: int) -> int:
            return 3 * n

        handles = [task.enqueue(1), triple.enqueue(1)]
        lost = jobs.store.register(WorkerInfo(host="here", pid=1))
        jobs.store.turn(lost, (), [Want("double", 1), Want("triple", 1)])
        assert jobs.store.recover(lost) == 2
        with at_work(jobs):
            assert [handle.result(PATIENCE) for handle in handles] == [2, 3]
        assert {handle.state for handle in handles} == {State.DONE}
