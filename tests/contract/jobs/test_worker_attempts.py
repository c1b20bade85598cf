"""What a worker does about attempts: retries that outlive it, snoozing, timeouts, hostile errors, unknown tasks."""

import asyncio
import logging
import os
import time

import pytest

import plait
from plait.errors import JobFailed
from plait.jobs import Snooze, current
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


# --- retries --------------------------------------------------------------------------------------------------------


def test_a_failed_attempt_comes_back_after_its_backoff(jobs, calls):
    @jobs.task(retries=plait.Retry(3, backoff=0.2, jitter=0.0))
    def shaky():
        calls.note(current().attempt)
        if current().attempt < 3:
            raise ConnectionError("not yet")
        return current().attempt

    with at_work(jobs):
        assert shaky.enqueue().result(PATIENCE) == 3
    (first, at_1), (second, at_2), (third, at_3) = calls.noted()
    assert (first, second, third) == ("1", "2", "3")
    assert at_2 - at_1 >= 0.2
    assert at_3 - at_2 >= 0.4


def test_retries_go_on_where_the_worker_before_left_off(jobs, calls, until):
    @jobs.task(retries=plait.Retry(2, backoff=0.3, jitter=0.0))
    def shaky():
        calls.note(current().attempt)
        raise ConnectionError(f"attempt {current().attempt}")

    job = shaky.enqueue()
    with at_work(jobs):
        until(lambda: job.state == "scheduled", PATIENCE, what="a retry in the store")
    seen = job.show()
    assert seen.attempt == 1
    assert "ConnectionError: attempt 1" in seen.error
    with at_work(jobs), pytest.raises(JobFailed, match="attempt 3"):
        job.result(PATIENCE)
    assert [word for word, _ in calls.noted()] == ["1", "2", "3"]


def test_an_error_that_is_not_worth_a_retry_gets_none(jobs, calls):
    @jobs.task(retries=plait.Retry(5, backoff=0.01, on=(ConnectionError,)))
    def wrong():
        calls.note("ran")
        raise ValueError("never")

    with at_work(jobs), pytest.raises(JobFailed, match="ValueError: never") as raised:
        wrong.enqueue().result(PATIENCE)
    assert calls.counts()["ran"] == 1
    assert 'raise ValueError("never")' in raised.value.traceback


def test_snoozing_costs_no_attempt(jobs, calls):
    @jobs.task(retries=0)
    def later():
        calls.note(current().attempt)
        if len(calls.noted()) < 4:
            raise Snooze(0.05)
        return current().attempt

    with at_work(jobs):
        assert later.enqueue().result(PATIENCE) == 1
    assert calls.counts()["1"] == 4


def test_snoozing_for_no_number_of_seconds_is_a_failure(sqlite_jobs):
    @sqlite_jobs.task
    def wrong():
        raise Snooze("a while")

    with at_work(sqlite_jobs), pytest.raises(JobFailed, match="ValueError: could not convert"):
        wrong.enqueue().result(PATIENCE)


# --- what no store takes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["NUL \0", "half a pair \ud83d"], ids=["nul", "surrogate"])
def test_an_error_that_no_database_can_store_stops_nobody(jobs, text):
    @jobs.task
    def hostile():
        raise ValueError(text)

    @jobs.task
    def decent():
        return "done"

    with at_work(jobs):
        with pytest.raises(JobFailed, match="ValueError"):
            hostile.enqueue().result(PATIENCE)
        assert decent.enqueue().result(PATIENCE) == "done"


def test_progress_that_no_database_can_store_stops_nobody(jobs, tmp_path, until):
    @jobs.task
    def hostile(path):
        current().progress(0.25, "NUL \0 and half a pair \ud83d")
        while not os.path.exists(path):
            time.sleep(0.01)

    gate = tmp_path / "gate"
    with at_work(jobs):
        job = hostile.enqueue(str(gate))
        until(lambda: job.progress == 0.25, PATIENCE, what="the progress")
        assert job.show().note.startswith("NUL ")
        gate.touch()
        job.result(PATIENCE)


# --- timeouts -------------------------------------------------------------------------------------------------------


def test_a_timeout_ends_work_that_only_computes(jobs):
    @jobs.task(timeout=0.5)
    def for_ever():
        while True:
            pass

    @jobs.task
    def short(n):
        return n

    with at_work(jobs):
        endless = for_ever.enqueue()
        with pytest.raises(JobFailed, match="ItemTimeout"):
            endless.result(PATIENCE)
        assert results(short.enqueue_many([(n,) for n in range(5)])) == list(range(5))


def test_a_timeout_ends_a_coroutine_and_is_retried(sqlite_jobs):
    @sqlite_jobs.task(timeout=0.3, retries=plait.Retry(1, backoff=0.01))
    async def slow_at_first():
        if current().attempt == 1:
            await asyncio.sleep(PATIENCE)
        return current().attempt

    with at_work(sqlite_jobs):
        assert slow_at_first.enqueue().result(PATIENCE) == 2


# --- what cannot run here -------------------------------------------------------------------------------------------


def test_jobs_of_unknown_tasks_wait_for_a_worker_that_knows_them(jobs):
    with plait.Jobs(jobs.url) as newer:

        @newer.task
        def unknown():
            return "known by now"

        @jobs.task
        def known():
            return "known"

        waiting = unknown.enqueue()
        with at_work(jobs):
            assert known.enqueue().result(PATIENCE) == "known"
            assert waiting.state == "waiting"
        with at_work(newer):
            assert waiting.result(PATIENCE) == "known by now"


def test_a_task_that_cannot_be_loaded_is_not_tried_again_and_again(sqlite_jobs, caplog, until):
    class Untravelled:
        def __reduce__(self):
            raise TypeError("this stays at home")

    stuck = Untravelled()

    @sqlite_jobs.task
    def broken(n):
        return stuck

    @sqlite_jobs.task
    def sound():
        return "sound"

    waiting = broken.enqueue_many([(n,) for n in range(50)])
    with caplog.at_level(logging.ERROR, "plait"), at_work(sqlite_jobs):
        assert sound.enqueue().result(PATIENCE) == "sound"
        until(lambda: waiting[0].state == "scheduled", PATIENCE, what="the broken task's first job handed back")
        assert sound.enqueue().result(PATIENCE) == "sound"
    told = [record for record in caplog.records if "cannot run here" in record.message]
    assert len(told) == 1, "one job is tried, then the task rests"
    assert {job.state for job in waiting[1:]} == {"waiting"}, "other workers may have them meanwhile"
    assert waiting[0].attempt == 0
