"""Who waits for a job in vain is told what it waits for itself."""

import pytest

from plait import Jobs, ResultTimeout
from plait.jobs.protocol import LEASE, Event
from plait.jobs.records import Rule, WorkerInfo
from plait.jobs.store import Store
from tests.support.stores import Bench, outcome


def double(n: int) -> int:
    return 2 * n


@pytest.fixture
def jobs(store: Store):
    return Jobs("memory://", store=store)


def why(jobs: Jobs, job: int) -> str:
    """What is said to who asks for a result that is not there."""
    with pytest.raises(ResultTimeout) as caught:
        jobs.job(job).result(0)
    said = f"Job {job} had not ended after 0 s: it is {caught.value.state}: "
    assert str(caught.value) == f"{said}{caught.value.why}."
    return f"{caught.value.state}: {caught.value.why}"


def test_a_job_that_no_worker_runs(jobs: Jobs, bench: Bench):
    job = bench.put("double", queue="media")
    assert why(jobs, job) == "waiting: no worker is running (plait work, or jobs.worker(), starts one)"
    worker = bench.store.register(WorkerInfo(host="far", pid=17, tasks=("other",)))
    assert why(jobs, job) == "waiting: no worker that is running knows its task 'double'"
    bench.store.register(WorkerInfo(host="far", pid=17, tasks=("double",), queues=("default",)))
    assert why(jobs, job) == "waiting: no worker that is running and knows its task serves its queue 'media'"
    bench.store.register(WorkerInfo(host="far", pid=17, tasks=("double",), queues=("media",)))
    assert why(jobs, job) == "waiting: a worker that serves it is running, and has not come to it yet"
    bench.store.pause("media")
    assert bench.store.paused() == {"media"}
    assert why(jobs, job) == "waiting: its queue 'media' is paused (plait jobs resume)"
    bench.store.resume("media")
    assert bench.store.paused() == set()
    bench.clock.advance(LEASE + 1)
    assert why(jobs, job) == "waiting: no worker is running (plait work, or jobs.worker(), starts one)"
    assert bench.store.leave(worker) == 0


def test_a_job_whose_time_has_not_come(jobs: Jobs, bench: Bench):
    job = bench.put(delay=600.0)
    assert why(jobs, job) == "scheduled: its time comes in 10 min"
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    bench.store.turn(worker, [outcome(claimed, Event.RETRY, delay=7.0, error="ValueError: no")])
    said = "its last attempt did not succeed (ValueError: no), and the next comes in 7 s"
    assert why(jobs, job) == f"scheduled: {said}"


def test_a_job_that_a_limit_holds(jobs: Jobs, bench: Bench):
    rules = (Rule("t/limit", cap=1, keyed=0),)
    worker = bench.store.register(WorkerInfo(host="far", pid=17, tasks=("t",)))
    first, second = bench.put(gates=("ada",)), bench.put(gates=("ada",))
    assert bench.ids(worker, 2, rules=rules) == [first]
    assert bench.claim(worker, 2, rules=rules) == []
    assert why(jobs, second) == "waiting: t/limit/ada holds it until there is room"


def test_a_job_that_runs_and_one_whose_worker_was_lost(jobs: Jobs, bench: Bench):
    worker = bench.store.register(WorkerInfo(host="far", pid=17, tasks=("t",)))
    job = bench.put()
    bench.claim(worker)
    bench.clock.advance(5)
    assert why(jobs, job) == f"running: for 5 s now, by worker {worker} (process 17 on far)"
    bench.store.cancel([job])
    assert why(jobs, job).endswith("(process 17 on far), and is being stopped")
    other = bench.put()
    bench.claim(worker)
    bench.store.register(WorkerInfo(host="far", pid=18, tasks=("t",)))
    bench.store.recover(worker)
    assert "a worker was lost with it" in why(jobs, other)
