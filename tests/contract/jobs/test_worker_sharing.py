"""How workers share what they have: between keys, priorities, queues, tasks and each other."""

import time

import pytest

import plait
from plait.jobs import State, by_key
from plait.jobs.records import Filter
from plait.jobs.worker.appetite import AHEAD
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


def spans(calls):
    """When each job began and ended: [(word, begin, end)], by their begins."""
    begun, found = {}, []
    for word, at in calls.noted():
        kind, _, name = word.partition("-")
        if kind == "begin":
            begun[name] = at
        else:
            found.append((name, begun.pop(name), at))
    return sorted(found, key=lambda span: span[1])


def most_at_once(spans):
    """How many of these spans there were at once, at most."""
    changes = sorted([(begin, 1) for _, begin, _ in spans] + [(end, -1) for _, _, end in spans])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def test_a_key_with_very_many_jobs_does_not_starve_one_with_few(jobs):
    @jobs.task
    def work(n):
        time.sleep(0.0005)

    work.with_(key="large").enqueue_many([(n,) for n in range(10_000)])
    few = work.with_(key="small").enqueue_many([(n,) for n in range(10)])
    with at_work(jobs):
        results(few)
    last = max(job.show().finished for job in few)
    before = jobs.store.find(Filter(states=(State.DONE,), key="large", limit=10_000))
    assert sum(job.finished < last for job in before) < 5_000, "ten that were enqueued last ran among the first"


def test_a_limit_holds_over_two_workers(jobs, calls):
    @jobs.task(limit=2, model="threads")
    def work(n):
        calls.note(f"begin-{n}")
        time.sleep(0.05)
        calls.note(f"end-{n}")

    handles = work.enqueue_many([(n,) for n in range(16)])
    with at_work(jobs), at_work(jobs):
        results(handles)
    assert most_at_once(spans(calls)) == 2


def test_a_limit_of_each_key_holds_over_two_workers(jobs, calls):
    @jobs.task(limit=plait.Limit(1, key=by_key), model="threads")
    def work(key, n):
        calls.note(f"begin-{key}.{n}")
        time.sleep(0.05)
        calls.note(f"end-{key}.{n}")

    handles = [work.with_(key=key).enqueue(key, n) for n in range(6) for key in "abc"]
    with at_work(jobs), at_work(jobs):
        results(handles)
    ran = spans(calls)
    assert all(most_at_once([span for span in ran if span[0][0] == key]) == 1 for key in "abc")
    assert most_at_once(ran) >= 2, "the keys do not wait for each other"


def test_a_rate_holds_over_two_workers(jobs):
    @jobs.task(rate=plait.Rate("20/s", burst=1), model="threads")
    def work(n):
        return n

    handles = work.enqueue_many([(n,) for n in range(20)])
    with at_work(jobs), at_work(jobs):
        results(handles)
        claimed = sorted(job.show().started for job in handles)
    assert claimed[-1] - claimed[0] >= 19 / 20 * 0.98


def test_higher_priorities_come_first(sqlite_jobs, calls):
    @sqlite_jobs.task(model=plait.Placement("processes", "serial", 1, 1))
    def work(n):
        calls.note(n)
        time.sleep(2 * AHEAD)

    for priority in (0, -5, 7, 3):
        work.with_(priority=priority).enqueue(priority)
    last = work.with_(priority=-9).enqueue(-9)
    with at_work(sqlite_jobs, concurrency=1):
        last.result(PATIENCE)
    assert [word for word, _ in calls.noted()] == ["7", "3", "0", "-5", "-9"]


def test_a_worker_serves_the_queues_that_it_is_given(jobs):
    @jobs.task
    def work(n):
        return n

    mine, other = work.with_(queue="media").enqueue(1), work.with_(queue="mail").enqueue(2)
    with at_work(jobs, queues=["media"]):
        assert mine.result(PATIENCE) == 1
        assert other.state == "waiting"
    with at_work(jobs, queues=["mail", "media"]):
        assert other.result(PATIENCE) == 2


def test_a_paused_queue_waits(sqlite_jobs):
    @sqlite_jobs.task
    def work(n):
        return n

    sqlite_jobs.pause("media")
    held, free = work.with_(queue="media").enqueue(1), work.enqueue(2)
    with at_work(sqlite_jobs):
        assert free.result(PATIENCE) == 2
        assert held.state == "waiting"
        sqlite_jobs.resume("media")
        assert held.result(PATIENCE) == 1


def test_concurrency_bounds_what_a_worker_has(sqlite_jobs, calls):
    @sqlite_jobs.task(model="threads")
    def one(n):
        calls.note(f"begin-one{n}")
        time.sleep(0.03)
        calls.note(f"end-one{n}")

    @sqlite_jobs.task(model="threads")
    def two(n):
        calls.note(f"begin-two{n}")
        time.sleep(0.03)
        calls.note(f"end-two{n}")

    handles = [task.enqueue(n) for n in range(10) for task in (one, two)]
    with at_work(sqlite_jobs, concurrency=3):
        results(handles)
    assert most_at_once(spans(calls)) <= 3


def test_short_jobs_do_not_wait_behind_a_long_one(sqlite_jobs, tmp_path):
    gate = tmp_path / "gate"
    path = str(gate)

    @sqlite_jobs.task
    def long():
        import os

        while not os.path.exists(path):
            time.sleep(0.02)

    @sqlite_jobs.task
    def short(n):
        return n

    with at_work(sqlite_jobs):
        endless = long.enqueue()
        assert results(short.enqueue_many([(n,) for n in range(200)])) == list(range(200))
        assert endless.state == "running"
        gate.touch()
        endless.result(PATIENCE)


def test_jobs_of_one_new_task_do_not_wait_for_the_first_to_be_measured(sqlite_jobs, tmp_path, until):
    gate = tmp_path / "gate"
    path = str(gate)

    @sqlite_jobs.task(model="processes", workers=2)
    def work(n):
        import os

        while n == 0 and not os.path.exists(path):
            time.sleep(0.02)
        return n

    with at_work(sqlite_jobs):
        endless = work.enqueue(0)
        until(lambda: endless.state == "running", PATIENCE, what="the long job's start")
        short = work.enqueue(1)
        assert short.result(PATIENCE) == 1
        assert endless.state == "running"
        gate.touch()
        endless.result(PATIENCE)


def test_what_one_worker_cannot_take_another_does(jobs, tmp_path, until):
    """A worker claims little ahead: another one finds work while the first has some."""

    @jobs.task(model=plait.Placement("here", "threads", 1, 1))
    def work(n):
        time.sleep(0.1)
        return n

    with at_work(jobs) as first, at_work(jobs) as second:
        results(work.enqueue_many([(n,) for n in range(30)]))
        shares = [worker.report["work"].items for worker in (first, second)]
    assert sum(shares) == 30
    assert min(shares) >= 8, shares
