"""A move that is killed: the source goes on, or the destination is whole; never neither, never both.

The mover is killed before and after each of its transactions, in either store, one run each.
"""

import signal
import subprocess
import sys
import threading

import psycopg
import pytest

import plait
from plait.errors import QueueMoved, StoreError
from plait.jobs.move import move
from plait.jobs.records import Filter, Want, WorkerInfo

pytestmark = pytest.mark.timeout(300)  # real processes, on machines that have other things to do

INFO = WorkerInfo(host="elsewhere", pid=1)
COUNT = 7

#: Forks a mover for each number that it reads, and says how it ended. A mover kills itself at the n-th beginning or end
#: of a transaction that writes, heartbeats not counted.
MOVERS = """
import itertools, os, signal, sys
from plait.jobs import move
from plait.jobs.postgres.store import PostgresStore
from plait.jobs.sqlite.store import SqliteStore

def counting(store, step):
    write = store.write
    def killed_in(self, work, **options):
        if not options.get("durable", True):
            return write(self, work, **options)
        step()
        result = write(self, work, **options)
        step()
        return result
    store.write = killed_in

def run(source, destination, at):
    counted = itertools.count(1)
    def step():
        if next(counted) == at:
            os.kill(os.getpid(), signal.SIGKILL)
    counting(SqliteStore, step)
    counting(PostgresStore, step)
    move.move(source, destination)

for line in sys.stdin:
    child = os.fork()
    if not child:
        run(*sys.argv[1:], int(line))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(params=["sqlite-sqlite", "sqlite-postgres", "postgres-sqlite"])
def urls(request, tmp_path):
    """Where a queue is, and where it goes."""
    return [
        request.getfixturevalue("postgres") if kind == "postgres" else f"sqlite:///{tmp_path / f'{at}.db'}"
        for at, kind in enumerate(request.param.split("-"))
    ]


def tasks(jobs):
    """Its one task."""
    return jobs.task(name="double")(lambda n: 2 * n)


def claimable(jobs):
    """How many jobs a new worker would get there now, which it hands back."""
    with plait.Jobs(jobs.url) as its:
        its.store.upkeep()  # a worker does that every second
        worker = its.store.register(INFO)
        try:
            return len(its.store.turn(worker, wants=[Want("double", 100)]).claimed)
        finally:
            its.store.leave(worker)


def is_open(jobs):
    """Whether anything can be done there."""
    try:
        jobs.pause("probe")
        jobs.resume("probe")
    except StoreError:
        return False
    return True


def is_closed_in_store(jobs):
    """Whether the store says so, whoever closed it."""
    return jobs.store.read(lambda session: session.rows("SELECT 1 FROM plait_moved"))


@pytest.fixture
def mover(urls, tmp_path):
    """Runs a mover that is killed at a point; whether it was. Each starts in milliseconds: there are many points."""
    path = tmp_path / "movers.py"
    path.write_text(MOVERS)
    command = [sys.executable, str(path), *urls]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **streams) as process:

        def run(at):
            process.stdin.write(f"{at}\n")
            process.stdin.flush()
            status = int(process.stdout.readline())
            assert status in (0, -signal.SIGKILL)
            return status != 0

        yield run
        process.stdin.close()


def test_wherever_it_is_killed_one_of_both_is_whole(urls, mover):
    with plait.Jobs(urls[0]) as jobs, plait.Jobs(urls[1]) as there:
        tasks(jobs).enqueue_many([(n,) for n in range(COUNT)])
        jobs.tasks.clear()
        outcomes = []
        for at in range(1, 100):
            if not mover(at):
                break
            here, elsewhere = claimable(jobs), claimable(there)
            if is_open(jobs):
                outcomes.append("goes on")
                assert (here, elsewhere) == (COUNT, 0)
                assert not is_open(there) or not there.store.find(Filter(states=("waiting",)))
                continue
            assert here == 0
            if not elsewhere:  # between the two: the same command does what is left
                outcomes.append("in between")
                assert move(*urls)[0] == COUNT
            else:
                outcomes.append("is there")
            assert claimable(there) == COUNT
            assert is_open(there)
            move(*reversed(urls))  # and again
            assert claimable(jobs) == COUNT
        assert outcomes.count("goes on") >= 8
        assert 1 <= outcomes.count("in between") <= 3
        assert outcomes.count("is there") >= 1
        assert claimable(there) == COUNT
        assert claimable(jobs) == 0


def test_a_killed_mover_is_noticed_by_those_who_enqueue(urls, mover):
    with plait.Jobs(urls[0]) as jobs:
        task = tasks(jobs)
        task.enqueue(1)
        for at in range(1, 100):
            assert mover(at)
            if is_closed_in_store(jobs):
                break
        assert task.enqueue(2).state == "waiting"  # no worker is there to look after it


def test_ctrl_c_keeps_the_queue_where_it_is(urls):
    with plait.Jobs(urls[0]) as jobs, plait.Jobs(urls[1]) as there:
        tasks(jobs).enqueue_many([(n,) for n in range(COUNT)])

        def interrupt(what):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            move(*urls, interrupt)
        assert claimable(jobs) == COUNT
        assert is_open(jobs)
        assert is_open(there)
        assert not [view for view in jobs.store.workers() if view.info.host != "elsewhere"]
        assert move(*urls)[0] == COUNT


def test_an_arrival_of_another_queue_is_not_thrown_away(urls, mover, tmp_path):
    """It may be the only one there is: its source may have departed."""
    third = f"sqlite:///{tmp_path / 'third.db'}"
    with plait.Jobs(urls[0]) as jobs, plait.Jobs(third) as other, plait.Jobs(urls[1]) as there:
        tasks(jobs).enqueue(1)
        tasks(other).enqueue(1)
        for at in range(1, 100):
            assert mover(at)
            if jobs.store.moved() and is_closed_in_store(there):
                break
        with pytest.raises(StoreError, match="arriving here from"):
            move(third, urls[1])
        with pytest.raises(QueueMoved, match="arriving here from") as refused:
            there.task(name="another")(lambda: None).enqueue()
        assert not refused.value.done, "who asks again, as for every queue that is just being moved, gets there"
        assert tasks_left(other) == 1
        assert move(*urls)[0] == 1
        assert claimable(there) == 1


def tasks_left(jobs):
    """Jobs that wait there."""
    return len(jobs.store.find(Filter(states=("waiting",))))


def test_a_transaction_that_began_before_loses_nothing(postgres, tmp_path, until):
    """One that sees the queue as it was, and enqueues when it has gone: it fails, or the move does."""
    url = f"sqlite:///{tmp_path / 'there.db'}"
    with plait.Jobs(postgres) as jobs, psycopg.connect(postgres) as early, psycopg.connect(postgres) as late:
        task = tasks(jobs)
        task.enqueue(1)
        for connection in (early, late):
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT count(*) FROM plait_job")

        def commit_late():
            with plait.Jobs(url) as there:
                until(lambda: tasks_left(there), seconds=120, what="the copy")
            early.commit()

        committing = threading.Thread(target=commit_late)

        def enqueue(what):
            task.with_(connection=early).enqueue(2)
            committing.start()

        with pytest.raises(StoreError, match="had begun before"):
            move(postgres, url, enqueue)
        committing.join()
        assert tasks_left(jobs) == 2
        assert move(postgres, url)[0] == 2
        with pytest.raises(psycopg.Error):  # noqa: PT012
            task.with_(connection=late).enqueue(3)
            late.commit()
    with plait.Jobs(url) as there:
        assert tasks_left(there) == 2


def test_a_transaction_that_has_enqueued_is_waited_for(postgres, tmp_path):
    url = f"sqlite:///{tmp_path / 'there.db'}"
    with plait.Jobs(postgres) as jobs, psycopg.connect(postgres) as connection:
        task = tasks(jobs)
        task.enqueue(0).cancel()
        task.with_(connection=connection).enqueue(1)
        moved = []
        moving = threading.Thread(target=lambda: moved.append(move(postgres, url)))
        moving.start()
        task.enqueue(2)  # others are held up for seconds at most
        assert not moved
        connection.commit()
        moving.join(120)
        assert moved[0].jobs == 2
    with plait.Jobs(url) as there:
        assert tasks_left(there) == 2
