"""`plait jobs move`: everything arrives, nobody loses or doubles a job, whoever is killed or interferes."""

import os
import tracemalloc

import apsw
import pytest

import plait
from plait.errors import OptionError, QueueMoved, StoreError
from plait.jobs.move import move
from plait.jobs.open import open_store
from plait.jobs.records import Draft, Filter, Rule, Want, WorkerInfo

pytestmark = pytest.mark.timeout(300)  # real processes, on machines that have other things to do

INFO = WorkerInfo(host="elsewhere", pid=1)
#: What a test has opened.
OPEN: list[plait.Jobs] = []


@pytest.fixture(autouse=True)
def closing():
    """Closes it."""
    yield
    close_all()


@pytest.fixture
def postgres(postgres):
    """A database; what is open there is closed before it is dropped."""
    yield postgres
    close_all()


def close_all():
    """At the end of a test."""
    while OPEN:
        OPEN.pop().close()


def opened(url, **options):
    """A queue that is closed at the test's end."""
    OPEN.append(plait.Jobs(url, **options))
    return OPEN[-1]


def queue(url):
    """A queue with the tasks of these tests, as its code declares them."""
    jobs = opened(url)

    @jobs.task()
    def double(n: int) -> int:
        return 2 * n

    @jobs.task()
    def total(parts: list[int]) -> int:
        return sum(parts)

    @jobs.task(retries=0)
    def fail(n: int) -> int:
        raise ValueError(f"no {n}")

    jobs.schedule("0 4 * * *", double, args=(4,), tz="Europe/Paris", name="nightly")
    return jobs


@pytest.fixture(params=["sqlite-sqlite", "sqlite-postgres", "postgres-sqlite"])
def urls(request, tmp_path):
    """Where a queue is, and where it goes."""
    return [
        request.getfixturevalue("postgres") if kind == "postgres" else f"sqlite:///{tmp_path / f'{at}.db'}"
        for at, kind in enumerate(request.param.split("-"))
    ]


@pytest.fixture
def fill():
    """A queue with something of everything in it; jobs that wait, by what they are for."""

    def filled(url):
        jobs = queue(url)
        of = jobs.tasks
        ended = [of["double"].enqueue(1), of["fail"].enqueue(2)]
        kept = of["double"].with_(unique="kept", unique_for=3600).enqueue(1)
        assert jobs.run_pending() == 3
        assert ended[0].state == "done"
        last = of["double"].enqueue(1)
        jobs.run_pending()
        found = {
            "ended": ended[0],
            "failed": ended[1],
            "kept": kept,
            "last": last,
            "plain": of["double"].enqueue(7),
            "unique": of["double"].with_(unique="u").enqueue(8),
            "later": of["double"].with_(delay=3600).enqueue(9),
            "keyed": of["double"].with_(key="tenant", priority=5, queue="other").enqueue(10),
            "cancelled": of["double"].enqueue(11),
            "chain": jobs.chain(of["double"].draft(1), of["double"].draft(), of["double"].draft()),
        }
        found["cancelled"].cancel()
        group = jobs.group([of["double"].draft(n) for n in range(4)], then=of["total"].draft())
        jobs.pause("other")
        return jobs, found, group

    return filled


def all_of(jobs):
    """Every job as it is stored, by its number."""
    found = jobs.store.find(Filter(limit=1000))
    return {one.id: jobs.store.show(one.id) for one in found}


def test_everything_is_there_as_it_was(urls, fill):
    jobs, _found, _group = fill(urls[0])
    jobs.run_pending()
    schedule = jobs.store.schedules()
    before, paused = all_of(jobs), {view.queue for view in jobs.store.queues() if view.paused}
    assert move(*urls) == (sum(one.state in ("waiting", "scheduled") for one in before.values()), len(before) - 2)
    there = queue(urls[1])
    assert all_of(there) == before
    assert there.store.schedules() == schedule
    assert {view.queue for view in there.store.queues() if view.paused} == paused == {"other"}


def test_it_goes_on_there(urls, fill):
    _jobs, found, _group = fill(urls[0])
    move(*urls)
    there = queue(urls[1])
    double = there.tasks["double"]
    assert not double.with_(unique="u").enqueue(8).fresh
    assert double.with_(unique="kept", unique_for=3600).enqueue(1).id == found["kept"].id
    fresh = double.enqueue(0)
    assert fresh.id > max(all_of(there).keys() - {fresh.id})
    there.run_pending()
    results = {name: there.job(job.id).state for name, job in found.items()}
    assert results["ended"] == results["plain"] == results["unique"] == results["chain"] == "done"
    assert (results["failed"], results["cancelled"], results["later"]) == ("failed", "cancelled", "scheduled")
    assert results["keyed"] == "waiting"
    there.resume("other")
    there.run_pending()
    assert there.job(found["keyed"].id).state == "done"
    values = {there.store.show(one.id).task: one for one in there.store.find(Filter(task="total"))}
    assert there.job(values["total"].id).result(timeout=60) == 12
    assert len(there.store.find(Filter(task="double", limit=100))) == 9 + 2 + 4 + 1  # each link and part once
    assert there.store.redo([found["failed"].id]) == [found["failed"].id]


def test_numbers_of_jobs_that_are_forgotten_are_not_used_again(urls):
    jobs = opened(urls[0], keep=0)
    task = jobs.task(name="nothing")(lambda: None)
    last = [task.enqueue() for _ in range(20)][-1].id
    jobs.run_pending()
    move(*urls)
    there = opened(urls[1])
    assert there.task(name="nothing")(lambda: None).enqueue().id > last


def test_who_stays_behind_is_told(urls, fill):
    jobs, found, group = fill(urls[0])
    move(*urls)
    worker = jobs.store.register(INFO)
    assert jobs.store.moved() is not None
    assert not jobs.store.turn(worker, wants=[Want("double", 10)]).claimed
    for refused in (
        lambda: jobs.tasks["double"].enqueue(1),
        lambda: jobs.tasks["double"].enqueue_many([(1,)] * 100),
        lambda: jobs.group([jobs.tasks["double"].draft(1)]),
        found["plain"].cancel,
        lambda: jobs.store.redo([found["failed"].id]),
        lambda: jobs.pause("default"),
        lambda: jobs.resume("other"),
        lambda: jobs.store.drop_schedule("nightly"),
        lambda: found["plain"].result(timeout=60),
        lambda: found["plain"].state,
        group.results,
    ):
        with pytest.raises(QueueMoved, match="moved to"):
            refused()
    assert jobs.store.find(Filter()) == []


def test_it_can_come_back(urls, fill):
    jobs, _found, _group = fill(urls[0])
    before = all_of(jobs)
    move(*urls)
    with pytest.raises(QueueMoved):
        move(*urls)
    move(*reversed(urls))
    assert all_of(jobs) == before
    assert jobs.tasks["double"].enqueue(1).state == "waiting"
    with pytest.raises(QueueMoved):
        queue(urls[1]).tasks["double"].enqueue(1)
    move(*urls)
    assert len(all_of(queue(urls[1]))) == len(before) + 1


def test_a_destination_with_jobs_is_refused_and_nothing_changes(urls, fill):
    jobs, _found, _group = fill(urls[0])
    queue(urls[1]).tasks["double"].enqueue(1)
    with pytest.raises(StoreError, match="has jobs already"):
        move(*urls)
    assert jobs.tasks["double"].enqueue(1).state == "waiting"
    assert len(all_of(queue(urls[1]))) == 1


def test_a_worker_that_waits_in_the_destination_already_is_no_hindrance(urls, fill, until):
    _jobs, found, _group = fill(urls[0])
    there = queue(urls[1])
    with there.worker(pulse=False):
        until(there.store.schedules, seconds=120, what="a declared schedule")
        move(*urls)
        assert there.job(found["chain"].id + 0).result(timeout=120) == 2
        until(lambda: there.job(found["unique"].id).state == "done", seconds=120, what="the move's jobs")
    assert len(there.store.schedules()) == 1


def test_what_runs_may_end_and_what_follows_from_it_comes_along(urls):
    jobs = queue(urls[0])
    chain = jobs.chain(jobs.tasks["double"].draft(1), jobs.tasks["double"].draft())
    group = jobs.group([jobs.tasks["double"].draft(5)], then=jobs.tasks["total"].draft())
    worker = jobs.store.register(INFO)
    held = jobs.store.turn(worker, wants=[Want("double", 10)]).claimed
    assert len(held) == 2
    said = []

    def end(what):
        said.append(what)
        if what.startswith("Waiting"):
            with pytest.raises(QueueMoved):
                jobs.tasks["double"].enqueue(1)
            outcomes = [
                plait.jobs.records.Outcome(
                    id=one.id, token=one.token, event=plait.jobs.protocol.Event.SUCCEED, result=b"\x0a"
                )
                for one in held
            ]
            assert not jobs.store.turn(worker, outcomes, [Want("double", 10), Want("total", 10)]).claimed

    assert move(*urls, end) == (2, 2)
    assert said[0].startswith("Waiting until what runs has ended (running jobs: 2)")
    there = queue(urls[1])
    assert there.run_pending() == 2
    assert there.job(chain.id).result(timeout=60) == 10
    done = {one.task: there.job(one.id).result(timeout=60) for one in there.store.find(Filter(task="total"))}
    assert done == {"total": 10}
    assert there.store.group(group.id) == (1, 0)


def test_what_runs_for_too_long_keeps_the_queue_where_it_is(urls):
    jobs = queue(urls[0])
    jobs.tasks["double"].enqueue(1)
    worker = jobs.store.register(INFO)
    held = jobs.store.turn(worker, wants=[Want("double", 1)]).claimed
    with pytest.raises(StoreError, match="Running jobs: 1, after 0 s still"):
        move(*urls, patience=0.0)
    assert jobs.tasks["double"].enqueue(2).state == "waiting"
    assert jobs.job(held[0].id).state == "running"
    assert jobs.store.turn(worker, wants=[Want("double", 9)]).claimed
    assert all_of(queue(urls[1])) == {}
    queue(urls[1]).tasks["double"].enqueue(1)  # the destination is as it was, too


def test_jobs_that_a_gate_holds_come_along(urls):
    jobs = queue(urls[0])
    rules = (Rule("double/limit-0", 1),)
    jobs.tasks["double"].enqueue_many([(n,) for n in range(5)])
    worker = jobs.store.register(INFO)
    keyed = (Rule("double/limit-0", 1, keyed=0),)
    drafts = [
        plait.jobs.records.Draft(task="double", args=jobs.tasks["double"].draft(n).encoded().args, gates=("a",))
        for n in range(5)
    ]
    jobs.store.enqueue(drafts)
    assert len(jobs.store.turn(worker, wants=[Want("double", 10, keyed)]).claimed) == 6
    jobs.store.leave(worker)
    move(*urls)
    there = open_store(urls[1])
    worker = there.register(INFO)
    claimed = 0
    for _ in range(20):
        there.upkeep()
        turn = there.turn(worker, wants=[Want("double", 10, rules)])
        outcomes = [
            plait.jobs.records.Outcome(id=one.id, token=one.token, event=plait.jobs.protocol.Event.SUCCEED)
            for one in turn.claimed
        ]
        claimed += len(outcomes)
        there.turn(worker, outcomes)
    assert claimed == 10
    there.close()


def test_large_and_odd_jobs_come_along(urls):
    jobs = opened(urls[0], max_bytes=10 << 20)

    @jobs.task(name="weigh")
    def weigh(what: bytes) -> int:
        return len(what)

    sizes = [0, 1, 3 << 20, 5 << 20, 6 << 20, *[1000] * 300]
    weigh.enqueue_many([(os.urandom(size),) for size in sizes])
    before = all_of(jobs)
    assert len(before) == len(sizes)
    move(*urls)
    assert all_of(opened(urls[1])) == before


def test_text_that_postgresql_cannot_hold_is_no_hindrance(tmp_path, postgres):
    jobs = queue(f"sqlite:///{tmp_path / 'a.db'}")
    job = jobs.tasks["double"].enqueue(1)
    worker = jobs.store.register(INFO)
    (held,) = jobs.store.turn(worker, wants=[Want("double", 1)]).claimed
    failed = plait.jobs.protocol.Event.FAIL
    jobs.store.turn(worker, [plait.jobs.records.Outcome(id=held.id, token=held.token, event=failed, error="a\0b")])
    jobs.store.leave(worker)
    move(jobs.url, postgres)
    assert queue(postgres).store.show(job.id).error in ("a\ufffdb", "a\\x00b")


@pytest.mark.parametrize("newer", [0, 1], ids=["source", "destination"])
def test_a_newer_schema_is_refused(tmp_path, fill, newer):
    urls = [f"sqlite:///{tmp_path / name}" for name in "ab"]
    jobs, _found, _group = fill(urls[0])
    jobs.close()
    open_store(urls[1]).close()
    connection = apsw.Connection(str(tmp_path / "ab"[newer]))
    connection.execute("UPDATE plait_counter SET next = next + 1 WHERE name = 'version'")
    with pytest.raises(StoreError, match="Update Plait"):
        move(*urls)
    connection.execute("UPDATE plait_counter SET next = next - 1 WHERE name = 'version'")
    connection.close()
    assert len(all_of(queue(urls[0]))) == 14
    assert all_of(queue(urls[1])) == {}


def test_what_cannot_be_moved_is_said(tmp_path, postgres):
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with pytest.raises(StoreError, match="no file"):
        move(url, postgres)
    assert not (tmp_path / "a.db").exists()
    open_store(url).close()
    with pytest.raises(OptionError, match="already"):
        move(url, url)
    (tmp_path / "other").symlink_to(tmp_path / "a.db")
    with pytest.raises(OptionError, match="already"):
        move(url, f"sqlite:///{tmp_path / 'other'}")
    with pytest.raises(OptionError, match="already"):
        move(postgres, postgres.replace("postgresql:", "postgres:"))
    with pytest.raises(OptionError, match="only queues in SQLite and PostgreSQL"):
        move(url, "memory://")
    queue(url).tasks["double"].enqueue(1)  # none of this has closed it


def test_a_second_mover_is_refused(urls, fill):
    _jobs, _found, _group = fill(urls[0])

    def interfere(what):
        with pytest.raises(QueueMoved, match="just being moved"):
            move(*urls)

    move(*urls, interfere)
    assert len(all_of(queue(urls[1]))) == 14


def test_passwords_are_not_told():
    url = "postgresql://ada:s3cret@127.0.0.1:1/db"
    with pytest.raises(OptionError, match="where the queue is already") as raised:
        move(url, url)
    assert "s3cret" not in str(raised.value)


def test_large_jobs_are_not_all_in_memory_at_once(tmp_path):
    """Behind many small ones, of which it is many that are read at a time."""
    urls = [f"sqlite:///{tmp_path / name}" for name in ("from.db", "to.db")]
    source = open_store(urls[0])
    source.enqueue([Draft(task="t")] * 6400)
    for _ in range(6):
        source.enqueue([Draft(task="t", args=bytes(1 << 20))] * 10)
    source.close()
    tracemalloc.start()
    try:
        assert move(*urls).jobs == 6460
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()
