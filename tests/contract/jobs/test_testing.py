"""Tests without a worker: `run_pending`, time that stands still until it is told to move, all kinds of tasks."""

import asyncio
import datetime as dt
import re
import textwrap
import threading
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

import plait
from plait import Jobs
from plait.jobs import Snooze, by_key, current, testing
from plait.jobs.testing import MemoryStore, VirtualClock


class Bench:
    """A queue in virtual time, and when what ran."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.began = self.clock.now
        self.jobs = Jobs("memory://", store=MemoryStore(self.clock))
        self.ran: list[tuple[float, str]] = []

    def notes(self, what: str) -> None:
        self.ran.append((self.clock.now - self.began, what))

    def task(self, **options):
        """A task that notes its argument."""

        @self.jobs.task(**options)
        def task(what: str) -> str:
            self.notes(what)
            return what.upper()

        return task

    def live(self, seconds: float, step: float = 1.0) -> int:
        """Let time pass, and run what is due in each step of it; how many jobs that were."""
        count = self.jobs.run_pending()
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            count += self.jobs.run_pending()
        return count


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_example_of_the_module_and_of_the_document_runs():
    code = textwrap.dedent((testing.__doc__ or "").partition("\n\n")[2])
    exec(code, {"plait": plait, "VirtualClock": VirtualClock, "MemoryStore": MemoryStore})
    document = (Path(__file__).parents[3] / "docs" / "jobs.md").read_text()
    (example,) = re.findall(r"## Testing\n\n```python\n(.*?)```", document, re.DOTALL)
    exec(example, {"__name__": "example"})


def test_delayed_jobs_run_when_their_time_has_come(bench):
    task = bench.task()
    task.with_(delay=3600).enqueue("later")
    at = dt.datetime.fromtimestamp(bench.began + 60, dt.UTC)
    task.with_(at=at).enqueue("at")
    task.enqueue("now")
    bench.live(3600, 30)
    assert bench.ran == [(0, "now"), (60, "at"), (3600, "later")]


def test_retries_wait_as_they_would(bench):
    @bench.jobs.task(retries=plait.Retry(times=3, backoff=10, jitter=0))
    def flaky(what: str) -> int:
        bench.notes(what)
        if current().attempt < 4:
            raise ValueError(what)
        return current().attempt

    job = flaky.enqueue("a")
    bench.jobs.run_pending()
    assert (job.state, job.attempt) == ("scheduled", 1)
    assert job.show().error == "ValueError: a"
    bench.live(200)
    assert job.result(0) == 4
    assert [moment for moment, _ in bench.ran] == [0, 10, 30, 70]


def test_a_count_of_retries_waits_for_what_is_away_to_come_back(bench):
    @bench.jobs.task(retries=11)
    def away() -> None:
        bench.notes("x")
        raise ConnectionError

    away.enqueue()
    bench.live(2_000)
    moments = [moment for moment, _ in bench.ran]
    assert [after - before for before, after in pairwise(moments)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert bench.jobs.task(retries=plait.Retry(2), name="other")(len).spec.retry == plait.Retry(2)
    with pytest.raises(plait.OptionError, match="retries=-1"):
        bench.jobs.task(retries=-1)(len)


def test_a_job_that_has_no_attempts_left_fails(bench):
    @bench.jobs.task(retries=1)
    def broken() -> None:
        raise LookupError("never")

    job = broken.enqueue()
    bench.live(600, 10)
    assert (job.state, job.attempt) == ("failed", 2)
    with pytest.raises(plait.JobFailed, match="LookupError: never"):
        job.result(0)


def test_snoozing_costs_no_attempt(bench):
    @bench.jobs.task
    def patient() -> float:
        bench.notes("x")
        if len(bench.ran) < 3:
            raise Snooze(60)
        return current().attempt

    job = patient.enqueue()
    bench.live(120, 60)
    assert (bench.ran, job.result(0)) == ([(0, "x"), (60, "x"), (120, "x")], 1)


def test_rates_are_kept_in_virtual_time(bench):
    task = bench.task(rate=plait.Rate("1/s", burst=2))
    task.enqueue_many([(str(n),) for n in range(6)])
    assert bench.live(4) == 6
    assert [moment for moment, _ in bench.ran] == [0, 0, 1, 2, 3, 4]


def test_rates_of_a_key(bench):
    task = bench.task(rate=plait.Rate("1/s", key=by_key, burst=1))
    for key in ("a", "b"):
        task.with_(key=key).enqueue_many([(key,)] * 2)
    assert bench.live(1) == 4
    assert sorted(bench.ran) == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]


def test_limits_let_one_after_the_other_run(bench):
    task = bench.task(limit=1)
    task.enqueue_many([("a",), ("b",), ("c",)])
    assert bench.jobs.run_pending() == 3


def test_priorities_and_turns_of_keys(bench):
    task = bench.task()
    task.with_(key="big").enqueue_many([("big",)] * 3)
    task.with_(key="small").enqueue("small")
    task.with_(priority=5).enqueue("first")
    bench.jobs.run_pending()
    assert [what for _, what in bench.ran] == ["first", "big", "small", "big", "big"]


def test_schedules_fire(bench):
    task = bench.task()
    bench.jobs.schedule(60, task, args=("minute",))
    bench.jobs.schedule("0 * * * *", task, args=("hour",), name="hourly")
    bench.jobs.run_pending()
    bench.live(3600, 30)
    assert [what for _, what in bench.ran].count("minute") == 60
    assert [what for _, what in bench.ran].count("hour") == 1


def test_all_that_was_missed_is_made_up_for_in_one_call(bench):
    bench.jobs.schedule(1, bench.task(), args=("x",), missed="all")
    bench.jobs.run_pending()
    bench.clock.advance(2_500)
    assert bench.jobs.run_pending() == 2_500
    assert bench.jobs.run_pending() == 0


def test_jobs_that_are_paused_do_not_run(bench):
    task = bench.task()
    task.enqueue("a")
    bench.jobs.pause()
    assert bench.jobs.run_pending() == 0
    bench.jobs.resume()
    assert bench.jobs.run_pending() == 1


def test_what_jobs_enqueue_runs_too(bench):
    task = bench.task()

    @bench.jobs.task
    def parent(depth: int) -> None:
        if depth:
            parent.enqueue(depth - 1)
        task.enqueue(str(depth))

    parent.enqueue(3)
    assert bench.jobs.run_pending() == 8


def test_jobs_may_take_longer_than_a_lease(bench):
    @bench.jobs.task
    def slow() -> None:
        bench.clock.advance(3600)

    handles = slow.enqueue_many([()] * 3)
    assert bench.jobs.run_pending() == 3
    assert [handle.attempt for handle in handles] == [1, 1, 1]


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_what_is_no_error_goes_on_to_the_caller_and_the_job_is_handed_back(bench, raised):
    @bench.jobs.task
    def stops() -> None:
        raise raised

    job = stops.enqueue()
    with pytest.raises(raised):
        bench.jobs.run_pending()
    assert (job.state, job.attempt) == ("waiting", 0)


# --- async tasks ----------------------------------------------------------------------------------------------------


def test_async_tasks_run_within_a_running_loop(bench):
    @bench.jobs.task
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + current().attempt

    async def a_test_of_its_own() -> None:
        job = await later.enqueue_async(1)
        assert bench.jobs.run_pending() == 1
        assert await job.aresult(1) == 2

    asyncio.run(a_test_of_its_own())
    job = later.enqueue(5)
    assert bench.jobs.run_pending() == 1
    assert job.result(0) == 6


def test_async_tasks_share_a_loop_and_leave_no_thread(bench):
    before, loops = set(threading.enumerate()), []

    @bench.jobs.task
    async def look(x: int) -> None:
        loops.append((asyncio.get_running_loop(), threading.current_thread()))

    async def inside() -> None:
        look.enqueue_many([(1,), (2,)])
        bench.jobs.run_pending()

    asyncio.run(inside())
    assert loops[0] == loops[1]
    assert loops[0][1] is not threading.current_thread()
    assert loops[0][0].is_closed()
    assert set(threading.enumerate()) <= before


# --- resources, transactions ----------------------------------------------------------------------------------------


def test_resources_are_made_once_and_closed(bench):
    happened = []

    @contextmanager
    def opened():
        happened.append("open")
        yield "session"
        happened.append("close")

    @asynccontextmanager
    async def opened_async():
        happened.append("open async")
        yield "session"
        happened.append("close async")

    @bench.jobs.task(resources={"session": opened})
    def plain(x: int, session: str) -> str:
        return f"{x} {session}"

    @bench.jobs.task(resources={"session": opened_async})
    async def waits(x: int, session: str) -> str:
        return f"{x} {session}"

    handles = [*plain.enqueue_many([(1,), (2,)]), *waits.enqueue_many([(3,), (4,)])]
    assert bench.jobs.run_pending() == 4
    assert [handle.result(0) for handle in handles] == ["1 session", "2 session", "3 session", "4 session"]
    assert sorted(happened) == ["close", "close async", "open", "open async"]


def test_resources_that_cannot_be_made_fail_the_job(bench):
    @bench.jobs.task(resources={"session": lambda: 1 / 0})
    def plain(session: str) -> None: ...

    job = plain.enqueue()
    bench.jobs.run_pending()
    with pytest.raises(plait.JobFailed, match="ZeroDivisionError"):
        job.result(0)


def test_transactional_tasks_in_a_file_and_in_memory(tmp_path):
    def count(connection, n: int) -> int:
        if connection is not None:
            connection.execute("CREATE TABLE IF NOT EXISTS counted (n)")
            connection.execute("INSERT INTO counted VALUES (?)", (n,))
        if n == 2:
            raise ValueError(n)
        return n

    for url in (f"sqlite:///{tmp_path / 'jobs.db'}", "memory://"):
        with Jobs(url) as jobs:
            task = jobs.task(transactional=True)(count)
            good, bad = task.enqueue(1), task.enqueue(2)
            assert jobs.run_pending() == 2
            assert (good.result(0), bad.state) == (1, "failed")
            if not url.startswith("memory"):
                found = jobs.store.read(lambda session: session.rows("SELECT n FROM counted"))
                assert found == [(1,)]
