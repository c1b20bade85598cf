"""Handles of jobs: what they tell, and waiting for results, from wherever it is done."""

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from plait import JobCancelled, JobFailed, Jobs, JobUnknown, ResultTimeout, StoreError
from plait.jobs import Job, State
from plait.jobs.records import Ended
from plait.jobs.testing import MemoryStore, VirtualClock
from tests.contract.jobs import desk
from tests.contract.jobs.desk import Picture

pytestmark = pytest.mark.timeout(300)
PATIENCE = 60.0


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path):
    """A queue in each kind of store, with the tasks of `desk`."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")
    else:
        url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'jobs.db'}"
    with on(url) as made:
        yield made


def on(url: str, **options) -> Jobs:
    made = Jobs(url, **options)
    for task in (desk.thumbnail, desk.fetch, desk.fails, desk.tomorrow, desk.double):
        made.task(task.__plait_function__)
    return made


@pytest.fixture
def sqlite(tmp_path: Path):
    with on(f"sqlite:///{tmp_path / 'jobs.db'}") as made:
        yield made


def later(call, seconds: float = 0.05) -> threading.Timer:
    timer = threading.Timer(seconds, call)
    timer.start()
    return timer


# --- what they tell -------------------------------------------------------------------------------------------------


def test_what_a_handle_tells(jobs):
    job = jobs.tasks["thumbnail"].with_(priority=5, key="ada").enqueue("a.png", size=8)
    assert (job.state, job.attempt, job.progress, job.task) == (State.WAITING, 0, None, "thumbnail")
    shown = job.show()
    assert (shown.id, shown.task, shown.priority, shown.key) == (job.id, "thumbnail", 5, "ada")
    assert job.retry() is False
    jobs.run_pending()
    assert (job.state, job.attempt) == ("done", 1)
    assert job.result() == Picture("a.png", 8)
    assert job == jobs.job(job.id)
    assert len({job, jobs.job(job.id)}) == 1


def test_a_handle_by_its_id_gives_what_the_task_says_that_it_returns(jobs):
    job, later = jobs.tasks["thumbnail"].enqueue("a.png"), jobs.tasks["fails"].enqueue("x")
    jobs.run_pending()
    assert jobs.job(job.id).result() == asyncio.run(jobs.job(job.id).aresult()) == Picture("a.png", 64)
    with pytest.raises(JobFailed):
        jobs.job(later.id).result()
    assert pickle.loads(pickle.dumps(jobs.job(job.id))).result() == {"path": "a.png", "size": 64}
    del jobs.tasks["thumbnail"]  # as for who has the store's URL alone
    assert jobs.job(job.id).result() == {"path": "a.png", "size": 64}


def test_a_job_that_nobody_knows(jobs):
    job = jobs.job(4711)
    for ask in (job.show, lambda: job.state, lambda: job.attempt, job.cancel, job.result, lambda: job.result(0)):
        with pytest.raises(JobUnknown, match="Job 4711 is not known here"):
            ask()
    assert job.retry() is False


def test_a_failed_job_tells_the_workers_traceback(jobs):
    job = jobs.tasks["fails"].enqueue("no such picture")
    jobs.run_pending()
    with pytest.raises(JobFailed, match=f"Job {job.id} has failed: ValueError: no such picture") as caught:
        job.result()
    assert "raise ValueError(what)\nValueError: no such picture" in caught.value.traceback
    assert "In the worker:" in caught.value.__notes__[0]
    assert job.retry() is True
    assert job.state == "waiting"


def test_a_cancelled_job(jobs):
    job = jobs.tasks["fetch"].enqueue("a")
    assert job.cancel() == "cancelled"
    assert job.cancel() == "cancelled"
    with pytest.raises(JobCancelled, match=f"Job {job.id} was cancelled"):
        job.result()
    assert job.retry() is True


# --- waiting --------------------------------------------------------------------------------------------------------


def test_a_result_that_is_there_is_had_without_waiting(jobs):
    job = jobs.tasks["fetch"].enqueue("a")
    for timeout in (0, -1):
        with pytest.raises(ResultTimeout, match=r"had not ended after 0 s: it is waiting: no worker is running"):
            job.result(timeout)
    jobs.run_pending()
    assert job.result(0) == job.result(timeout=-1) == asyncio.run(job.aresult(0)) == "A"
    assert jobs._client.awaiting._thread is None


def test_a_result_is_waited_for(jobs):
    job, timer = jobs.tasks["fetch"].enqueue("a"), later(jobs.run_pending)
    assert job.result(PATIENCE) == "A"
    timer.join()
    job, timer = jobs.tasks["fetch"].enqueue("b"), later(jobs.run_pending)
    assert asyncio.run(job.aresult()) == "B"
    timer.join()


def test_waiting_has_an_end(jobs):
    job = jobs.tasks["fetch"].enqueue("a")
    with pytest.raises(ResultTimeout, match=r"had not ended after 0.01 s"):
        job.result(0.01)
    with pytest.raises(ResultTimeout, match=r"had not ended after 0.01 s"):
        asyncio.run(job.aresult(0.01))
    assert jobs._client.awaiting._wanted == {}


def test_many_wait_in_one_thread(jobs):
    handles = jobs.tasks["double"].enqueue_many([(n,) for n in range(1000)])

    before = set(threading.enumerate())

    async def all_of() -> list[int]:
        waiting = asyncio.gather(*(handle.aresult(PATIENCE) for handle in handles))
        await asyncio.sleep(0)
        threads = set(threading.enumerate()) - before
        timer = later(jobs.run_pending)
        found = await waiting
        timer.join()
        assert len([thread for thread in threads if thread.name == "plait-results"]) == 1
        return found

    assert asyncio.run(all_of()) == [2 * n for n in range(1000)]


def test_many_threads_and_loops_wait_for_the_same_job(jobs):
    job = jobs.tasks["fetch"].enqueue("a")
    found: list[str] = []
    waits = [lambda: found.append(job.result(PATIENCE)), lambda: found.append(asyncio.run(job.aresult(PATIENCE)))]
    threads = [threading.Thread(target=waits[n % 2]) for n in range(20)]
    for thread in threads:
        thread.start()
    jobs.run_pending()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == ["A"] * 20


def test_a_coroutine_that_is_cancelled_waits_no_more(jobs, until):
    job = jobs.tasks["fetch"].enqueue("a")

    async def give_up() -> None:
        task = asyncio.create_task(job.aresult())
        while job.id not in jobs._client.awaiting._wanted:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert jobs._client.awaiting._wanted == {}
    jobs.run_pending()
    assert job.result(0) == "A"


def test_a_result_that_is_forgotten_while_it_is_waited_for():
    clock = VirtualClock()
    jobs = on("memory://", store=MemoryStore(clock), keep=10)
    gone = jobs.tasks["fetch"].enqueue("a")
    jobs.run_pending()
    assert gone.result() == "A"
    clock.advance(11)
    jobs.run_pending()
    with pytest.raises(JobUnknown, match="keep= says for how long"):
        gone.result(PATIENCE)


def test_results_that_are_not_kept():
    jobs = Jobs("memory://")
    job = jobs.task(keep=0)(desk.double.__plait_function__).enqueue(1)
    jobs.run_pending()
    with pytest.raises(JobUnknown):
        job.result(PATIENCE)


def test_closing_tells_those_who_wait(jobs, until):
    job = jobs.tasks["fetch"].enqueue("a")
    raised: list[BaseException] = []

    def wait() -> None:
        with pytest.raises(StoreError) as caught:
            job.result()
        raised.append(caught.value)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(jobs._client.awaiting._wanted.get(job.id, [])) == 3, PATIENCE, "all waiting")
    awaits = jobs._client.awaiting._thread
    jobs.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert [str(error) for error in raised] == [
        "The store was closed while this result was waited for; the job goes on."
    ] * 3
    awaits.join(PATIENCE)
    assert not awaits.is_alive()
    assert job.state == "waiting"  # it is opened again


def test_a_store_that_breaks_tells_those_who_wait(sqlite, tmp_path, until):
    job = sqlite.tasks["fetch"].enqueue("a")
    raised: list[BaseException] = []

    def wait() -> None:
        with pytest.raises(StoreError) as caught:
            job.result()
        raised.append(caught.value)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: job.id in sqlite._client.awaiting._wanted, PATIENCE, "waiting")
    sqlite.store.close()  # as if the disk were gone
    thread.join(PATIENCE)
    assert raised


def test_nothing_is_left_of_waiting(tmp_path, nothing_left):
    jobs = on(f"sqlite:///{tmp_path / 'jobs.db'}")
    job = jobs.tasks["fetch"].enqueue("a")
    with pytest.raises(ResultTimeout):
        job.result(0.01)
    jobs.close()
    del jobs, job
    gc.collect()


# --- other processes ------------------------------------------------------------------------------------------------

CHILD = """
import pickle, sys
from tests.contract.jobs import desk
jobs = [pickle.loads(bytes.fromhex(line)) for line in sys.argv[1:]]
print([job.result(60) for job in jobs])
assert len({id(job._client) for job in jobs}) == 1
"""


def test_handles_travel(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    source = "import os, pickle\nfrom tests.contract.jobs import desk\n"
    source += "made = [desk.thumbnail.enqueue('a.png'), desk.thumbnail.with_(key='x').enqueue('b.png'), "
    source += "desk.jobs.job(1)]\ndesk.jobs.run_pending()\nprint(*[pickle.dumps(job).hex() for job in made])"
    env = {**os.environ, "DESK": url}
    options = {"env": env, "capture_output": True, "text": True, "check": True, "timeout": PATIENCE, "cwd": os.getcwd()}
    handles = subprocess.run([sys.executable, "-c", source], **options).stdout.split()
    found = subprocess.run([sys.executable, "-c", CHILD, *handles], **options).stdout
    assert found == "[Picture(path='a.png', size=64), Picture(path='b.png', size=64), {'path': 'a.png', 'size': 64}]\n"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_handle_in_a_forked_child(sqlite, tmp_path):
    job = sqlite.tasks["fetch"].enqueue("a")
    with pytest.raises(ResultTimeout):
        job.result(0.01)  # the thread that waits runs, and will not in the child
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            another = sqlite.tasks["fetch"].enqueue("b")
            status = 0 if (another.result(PATIENCE), job.result(PATIENCE)) == ("B", "A") else 2
        finally:
            os._exit(status)
    ended = None
    deadline = time.monotonic() + PATIENCE
    while ended is None and time.monotonic() < deadline:
        sqlite.run_pending()
        found, status = os.waitpid(pid, os.WNOHANG)
        ended = os.waitstatus_to_exitcode(status) if found else None
    assert ended == 0
    assert job.result(PATIENCE) == "A"


def test_handles_of_local_tasks_travel_as_plain_ones():
    jobs = Jobs("memory://")

    @jobs.task
    def local(x: int) -> Picture:
        return Picture("x", x)

    job = local.enqueue(1)
    jobs.run_pending()
    again = pickle.loads(pickle.dumps(job))
    assert type(again) is Job
    assert (again, again.result(0)) == (job, {"path": "x", "size": 1})


def test_handles_of_different_queues_in_memory_are_not_equal():
    with on("memory://") as one, on("memory://") as two:
        jobs = [one.tasks["double"].enqueue(1), two.tasks["double"].enqueue(1)]
        assert jobs[0].id == jobs[1].id
        assert len({*jobs, one.job(jobs[0].id)}) == 2


def test_a_result_that_comes_at_the_last_moment_is_had():
    """Between the end of the waiting and the look at why it ended."""

    class Late(Future):
        def result(self, timeout=None):
            if timeout is None:
                return super().result()
            self.set_result(Ended(1, State.DONE, b"\x2a"))
            raise TimeoutError

    with on("memory://") as jobs:
        job = jobs.tasks["double"].enqueue(1)
        jobs._client.awaiting.end_of = lambda job: Late()
        assert job.result(0.01) == 42


def test_progress_and_cancelling_of_a_running_job(tmp_path, until):
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")
    task = jobs.task(desk.until_file.__plait_function__)
    with jobs, jobs.worker():
        job = task.enqueue(tmp_path / "never")
        until(lambda: job.progress == 0.5, PATIENCE, "progress")
        assert job.show().note == "half of it"
        assert job.cancel() == "running"
        with pytest.raises(JobCancelled):
            job.result(PATIENCE)
