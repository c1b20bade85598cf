"""What is said when jobs are enqueued: what cannot be is refused there and then, and loops have their own way."""

import asyncio
import inspect
import math
import threading
import time
from pathlib import Path

import apsw
import pytest

import plait
from plait import Jobs, JobUnknown, OptionError, ResultTimeout
from plait.jobs import Snooze


@pytest.fixture
def jobs(tmp_path: Path):
    with Jobs(f"sqlite:///{tmp_path / 'jobs.db'}") as made:
        yield made


def double(n: int) -> int:
    return 2 * n


def total(numbers: list[int]) -> int:
    return sum(numbers)


# --- what cannot be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("never", [math.inf, -math.inf, math.nan])
def test_no_job_is_put_off_for_ever(jobs, never):
    with pytest.raises(OptionError, match="at="):
        jobs.task(double).with_(at=never)
    with pytest.raises(ValueError, match="seconds"):
        Snooze(never)


def test_a_time_that_a_text_is_unique_for_needs_the_text(jobs):
    task = jobs.task(double)
    with pytest.raises(OptionError, match=r"unique_for=60 .* unique="):
        task.with_(unique_for=60).enqueue(1)
    with pytest.raises(OptionError, match="unique_for"):
        jobs.group([task.with_(unique_for=60).draft(1)])
    first = task.with_(unique_for=60).with_(unique="a").enqueue(1)
    assert task.with_(unique="a", unique_for=60).enqueue(1) == first
    assert task.with_(unique="a", unique_for=60).with_(unique=None, unique_for=0).enqueue(1) != first


@pytest.mark.parametrize("option", [{"keep": "1d"}, {"keep_failed": -1}, {"max_bytes": "1MB"}, {"max_bytes": 0}])
def test_what_is_said_of_a_queue_is_looked_at_there(option):
    with pytest.raises(OptionError, match=next(iter(option))):
        Jobs("memory://", **option)


@pytest.mark.parametrize("queue", [3, "", "a,b", None])
def test_what_is_no_queue_cannot_be_paused(jobs, queue):
    for what in (jobs.pause, jobs.resume):
        with pytest.raises(OptionError, match="queue="):
            what(queue)


def test_parts_come_in_a_list(jobs):
    task = jobs.task(double)
    with pytest.raises(OptionError, match="list of drafts"):
        jobs.group(task.draft(1))


def test_a_schedule_says_when_its_jobs_are_stored_and_workers_store_them(jobs):
    task = jobs.task(double)
    with pytest.raises(OptionError, match="connection="):
        jobs.schedule(60, task.with_(connection=apsw.Connection(":memory:")), args=(1,))
    with pytest.raises(OptionError, match="at="):
        jobs.schedule(60, task.with_(at=time.time()), args=(1,))
    assert jobs.schedules == []


# --- loops ----------------------------------------------------------------------------------------------------------


def test_many_groups_and_chains_are_stored_without_blocking_a_loop(jobs):
    """The store is held up until the loop has gone round."""
    task, adds = jobs.task(double), jobs.task(total)

    async def main():
        many = await held_up(jobs, task.enqueue_many_async([(1,), {"n": 2}, task.draft(3)]))
        group = await held_up(jobs, jobs.group_async([task.draft(4), task.draft(5)], adds.draft()))
        chain = await held_up(jobs, jobs.chain_async(task.draft(6), task.draft()))
        assert await task.enqueue_many_async([]) == []
        return many, group, chain

    many, group, chain = asyncio.run(main())
    assert jobs.run_pending() == 8
    assert [job.result(0) for job in many] == [2, 4, 6]
    assert group.results(0) == [8, 10]
    assert asyncio.run(group.aresults(0)) == [8, 10]
    assert chain.result(0) == 12


async def held_up(jobs, storing):
    """What a call comes to whose store may go on only when this loop has gone round."""
    loop = asyncio.get_running_loop()
    went_round, store = threading.Event(), jobs.store
    enqueue = store.enqueue

    def waits(*args, **kwargs):
        assert went_round.wait(60), "the loop is blocked"
        return enqueue(*args, **kwargs)

    store.enqueue = waits
    try:
        loop.call_later(0.01, went_round.set)
        return await storing
    finally:
        del store.enqueue


def test_a_group_is_waited_for_without_blocking_a_loop(jobs):
    task = jobs.task(double)
    group = jobs.group([task.draft(1), task.draft(2)])

    async def main():
        with pytest.raises(ResultTimeout):
            await group.aresults(0.01)
        results = asyncio.ensure_future(group.aresults(60))
        await asyncio.sleep(0)
        await asyncio.to_thread(jobs.run_pending)
        return await results

    assert asyncio.run(main()) == [2, 4]
    lost = plait.jobs.Group(group._client, group.id, [jobs.job(99)])
    with pytest.raises(JobUnknown):
        asyncio.run(lost.aresults(60))


def test_what_loops_call_is_said_as_the_others_are(jobs):
    for name in ("group", "chain"):
        plain, theirs = getattr(Jobs, name), getattr(Jobs, f"{name}_async")
        assert inspect.signature(plain).parameters == inspect.signature(theirs).parameters
