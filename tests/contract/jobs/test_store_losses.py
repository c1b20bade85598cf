"""Who finds a worker dead says in the log what became of its jobs: no job is given up in silence."""

import logging

import pytest

from plait.jobs.losses import Loss
from plait.jobs.protocol import CRASHES, LEASE
from plait.jobs.records import WorkerInfo
from tests.support.stores import Bench

GONE = "(process 1 on here) is gone, or was away for longer than its lease. Of its"


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """What was said of workers; nothing of it is said again the next time."""
    said = [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "plait"]
    caplog.clear()
    return said


def test_a_workers_end_is_said_with_what_becomes_of_its_jobs(bench: Bench, caplog: pytest.LogCaptureFixture):
    worker, idle = bench.worker(), bench.worker()
    jobs = [bench.put() for _ in range(3)]
    bench.claim(worker, 3)
    bench.store.cancel(jobs[:1])
    bench.store.recover(worker)
    bench.store.recover(worker)
    bench.store.recover(idle)
    bench.store.recover(99_999)
    said = f"Worker {worker} {GONE} 3 jobs: 2 come again; 1 had been cancelled."
    assert lines(caplog) == [(logging.WARNING, said)]


def test_upkeep_says_whose_lease_has_run_out(bench: Bench, caplog: pytest.LogCaptureFixture):
    worker = bench.worker()
    bench.put()
    bench.claim(worker)
    bench.clock.advance(LEASE + 1)
    bench.store.upkeep()
    bench.store.upkeep()
    assert lines(caplog) == [(logging.WARNING, f"Worker {worker} {GONE} 1 job: 1 comes again.")]


def test_a_job_that_is_given_up_is_named(bench: Bench, caplog: pytest.LogCaptureFixture):
    job = bench.put()
    for crash in range(CRASHES):
        worker = bench.worker()
        (claimed,) = bench.claim(worker, alone=crash > 0)
        bench.store.begin(job, claimed.token)
        bench.store.recover(worker)
    given_up = f"1 job: given up, since too many workers were lost while they ran: job {job}."
    assert lines(caplog)[-1] == (logging.ERROR, f"Worker {worker} {GONE} {given_up}")


def test_many_that_are_given_up_are_counted():
    loss = Loss(worker=3, info=WorkerInfo(host="far", pid=17), again=2_000, poisoned=tuple(range(1, 13)))
    assert str(loss).startswith("Worker 3 (process 17 on far) is gone")
    assert str(loss).endswith(
        "Of its 2,012 jobs: 2,000 come again; given up, since too many workers were lost while "
        "they ran: jobs 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more."
    )
