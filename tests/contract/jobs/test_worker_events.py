"""What a worker tells of jobs: `Jobs.observe`, progress, and nothing where nobody listens."""

import os
import signal
import tempfile
import time

import pytest

import plait
from plait.errors import JobFailed
from plait.events import ObserverDropped, PlacementChosen, WorkerCrashed
from plait.jobs import Snooze, current
from plait.jobs.events import JobClaimed, JobCrashed, JobEnded, JobEvent, JobRetried, JobSnoozed
from tests.contract.jobs.at_work import PATIENCE, at_work, queue, results

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def jobs(request):
    with queue("sqlite", request) as jobs:
        yield jobs


def of(heard, kind, job):
    return [event for event in list(heard) if isinstance(event, kind) and event.job == job.id]


def test_a_job_that_is_done(jobs, until):
    @jobs.task(queue="media", key="ada")
    def work(n):
        time.sleep(0.05)
        return n

    heard = []
    with jobs.observe(heard.append), at_work(jobs):
        job = work.enqueue(1)
        until(lambda: of(heard, JobEnded, job), PATIENCE, what="the job's end")
    (claimed,) = of(heard, JobClaimed, job)
    assert (claimed.task, claimed.queue, claimed.key, claimed.attempt, claimed.crashes) == (
        "work",
        "media",
        "ada",
        1,
        0,
    )
    assert claimed.age >= 0.0
    (ended,) = of(heard, JobEnded, job)
    assert (ended.task, ended.attempt, ended.state, ended.error) == ("work", 1, "done", "")
    assert ended.seconds >= 0.05
    assert heard.index(claimed) < heard.index(ended)


def test_the_end_is_told_once_it_is_stored(jobs, until):
    @jobs.task
    def work(n):
        return n

    states = []
    with jobs.observe(lambda event: states.append(jobs.job(event.job).state), [JobEnded]), at_work(jobs):
        work.enqueue_many([(n,) for n in range(20)])
        until(lambda: len(states) == 20, PATIENCE, what="twenty ends")
    assert set(states) == {"done"}


def test_retries_and_failures(jobs, until):
    @jobs.task(retries=plait.Retry(1, backoff=0.05, jitter=0.0))
    def shaky():
        raise ConnectionError(f"attempt {current().attempt}")

    heard = []
    with jobs.observe(heard.append, [JobEvent]), at_work(jobs):
        job = shaky.enqueue()
        until(lambda: of(heard, JobEnded, job), PATIENCE, what="the job's end")
    (retried,) = of(heard, JobRetried, job)
    assert (retried.attempt, retried.delay, retried.error) == (1, 0.05, "ConnectionError: attempt 1")
    (ended,) = of(heard, JobEnded, job)
    assert (ended.attempt, ended.state, ended.error) == (2, "failed", "ConnectionError: attempt 2")
    kinds = [type(event) for event in heard]
    assert kinds == [JobClaimed, JobRetried, JobClaimed, JobEnded]


def test_snoozing_and_cancelling(jobs, until):
    @jobs.task
    def later():
        if current().attempt == 1 and not os.path.exists(gate):
            open(gate, "x").close()
            raise Snooze(0.01)
        time.sleep(3600)

    gate = jobs.url.removeprefix("sqlite:///") + ".gate"
    heard = []
    with jobs.observe(heard.append), at_work(jobs):
        job = later.enqueue()
        until(lambda: len(of(heard, JobClaimed, job)) == 2, PATIENCE, what="the second claim")
        job.cancel()
        until(lambda: of(heard, JobEnded, job), PATIENCE, what="the job's end")
    assert [event.delay for event in of(heard, JobSnoozed, job)] == [0.01]
    assert [event.state for event in of(heard, JobEnded, job)] == ["cancelled"]


def test_a_job_whose_process_died(jobs, until):
    @jobs.task(model="processes", workers=1)
    def fatal(n):
        if n == 1 and not os.path.exists(gate):
            open(gate, "x").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    gate = jobs.url.removeprefix("sqlite:///") + ".gate"
    heard = []
    with jobs.observe(heard.append), at_work(jobs):
        handles = fatal.enqueue_many([(n,) for n in range(3)])
        assert results(handles) == [0, 1, 2]
    (crashed,) = of(heard, JobCrashed, handles[1])
    assert crashed.task == "fatal"
    assert "SIGKILL" in crashed.status
    (process,) = [event for event in heard if isinstance(event, WorkerCrashed)]
    assert process.pid == crashed.pid
    assert not of(heard, JobCrashed, handles[0])


def test_a_job_that_settles_itself(jobs, until):
    @jobs.task(transactional=True)
    def book(connection, n):
        return n

    heard = []
    with jobs.observe(heard.append), at_work(jobs):
        job = book.enqueue(1)
        until(lambda: of(heard, JobEnded, job), PATIENCE, what="the job's end")
    assert [event.state for event in of(heard, JobEnded, job)] == ["done"]


def test_what_a_task_runs_under_and_why(jobs, until):
    @jobs.task
    def work(n):
        time.sleep(0.01)

    chosen = []
    with jobs.observe(chosen.append, [PlacementChosen]), at_work(jobs):
        results(work.enqueue_many([(n,) for n in range(50)]))
    assert {event.stage for event in chosen} == {"work"}
    assert "items wait" in " ".join(chosen[-1].reasons)


def test_an_observer_that_raises_is_dropped_and_breaks_nothing(jobs, until):
    @jobs.task
    def work(n):
        return n

    def careless(event):
        raise RuntimeError("careless")

    dropped = []
    with jobs.observe(careless, [JobEvent]), jobs.observe(dropped.append, [ObserverDropped]), at_work(jobs):
        assert results(work.enqueue_many([(n,) for n in range(20)])) == list(range(20))
    assert len(dropped) == 1


def test_who_begins_to_listen_hears_how_running_jobs_end(jobs, until):
    gate = jobs.url.removeprefix("sqlite:///") + ".gate"

    @jobs.task
    def work():
        while not os.path.exists(gate):
            time.sleep(0.01)

    heard = []
    with at_work(jobs):
        job = work.enqueue()
        until(lambda: job.state == "running", PATIENCE, what="the job's start")
        with jobs.observe(heard.append, [JobEvent]):
            open(gate, "x").close()
            until(lambda: heard, PATIENCE, what="the job's end")
    assert [type(event) for event in heard] == [JobEnded]


# --- progress -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["blocks", "waits"])
def test_progress_can_be_seen_while_a_job_runs(jobs, until, kind):
    import asyncio

    gate = jobs.url.removeprefix("sqlite:///") + ".gate"

    @jobs.task
    def blocks():
        current().progress(0.4, "half of it, nearly")
        while not os.path.exists(gate):
            time.sleep(0.01)
        return current().id

    @jobs.task
    async def waits():
        current().progress(0.4, "half of it, nearly")
        while not os.path.exists(gate):
            await asyncio.sleep(0.01)
        return current().id

    with at_work(jobs):
        job = {"blocks": blocks, "waits": waits}[kind].enqueue()
        until(lambda: job.progress == 0.4, PATIENCE, what="the progress")
        assert job.show().note == "half of it, nearly"
        open(gate, "x").close()
        assert job.result(PATIENCE) == job.id


def test_progress_comes_however_long_the_path_of_the_temporary_folder_is(jobs, tmp_path, monkeypatch, until):
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    gate = jobs.url.removeprefix("sqlite:///") + ".gate"

    @jobs.task
    def work():
        current().progress(0.4)
        while not os.path.exists(gate):
            time.sleep(0.01)

    with at_work(jobs):
        job = work.enqueue()
        until(lambda: job.progress == 0.4, PATIENCE, what="the progress")
        open(gate, "x").close()
        job.result(PATIENCE)


def test_very_much_progress_is_cheap(jobs):
    @jobs.task
    def chatty():
        began = time.process_time()
        for step in range(100_000):
            current().progress(step / 100_000, f"step {step}")
        return time.process_time() - began

    with at_work(jobs):
        assert chatty.enqueue().result(PATIENCE) < 10


def test_current_is_only_known_inside_of_a_job(jobs):
    with pytest.raises(LookupError, match="outside of a job"):
        current()


def test_a_failed_job_shows_its_traceback(jobs):
    @jobs.task
    def broken():
        raise KeyError("that")

    with at_work(jobs), pytest.raises(JobFailed, match="KeyError: 'that'") as raised:
        broken.enqueue().result(PATIENCE)
    assert "in broken" in raised.value.traceback
