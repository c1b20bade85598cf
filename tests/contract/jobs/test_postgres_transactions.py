"""PostgreSQL: a task that works in a transaction of the store's keeps nobody waiting; its backend may be killed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from plait.errors import Stale, StoreError
from plait.jobs.postgres.store import PostgresStore
from plait.jobs.protocol import Event, State
from plait.jobs.records import Claimed, Draft, Note, Outcome, Want, WorkerInfo

pytestmark = pytest.mark.timeout(300)

ME = WorkerInfo(host="here", pid=1)


@pytest.fixture
def store(postgres: str) -> Iterator[PostgresStore]:
    """A store."""
    made = PostgresStore(postgres)
    yield made
    made.close()


@pytest.fixture
def kill(postgres: str) -> Callable[[str], int]:
    """Ends the backends of a database that do what is said; how many."""

    def ended(doing: str) -> int:
        with psycopg.connect(postgres, autocommit=True) as connection:
            return connection.execute(
                "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND (state = %s OR query LIKE %s)",
                (doing, doing),
            ).fetchone()[0]  # type: ignore[index]

    return ended


def claimed(store: PostgresStore) -> tuple[int, Claimed]:
    """A worker, and a job that it has."""
    worker = store.register(ME)
    store.enqueue([Draft(task="t")])
    (job,) = store.turn(worker, (), [Want("t", 1)]).claimed
    return worker, job


def test_nobody_waits_for_a_task(store: PostgresStore) -> None:
    """Progress, cancelling, upkeep and recovery go on while it has its transaction open."""
    worker, job = claimed(store)
    with store.transact(job.id, job.token) as transaction:
        transaction.connection.execute("CREATE TABLE made (n int)")
        store.note([Note(job.id, job.token, 0.5, "half")])
        snapshot = store.show(job.id)
        assert snapshot is not None
        assert snapshot.note == "half"
        assert store.cancel([job.id]) == {job.id: State.RUNNING}
        assert store.unwanted(worker) == [(job.id, job.token)]
        store.upkeep()
        assert store.recover(worker) == 0, "a job whose task may yet be done was taken"
        transaction.finish(b"\x01", 60.0)
    assert store.states([job.id]) == {job.id: State.DONE}
    assert store.read(lambda session: session.rows("SELECT count(*) FROM made")) == [(0,)]


def test_a_job_that_is_others_cannot_be_settled(store: PostgresStore) -> None:
    """Handed back in the meantime: what the task did is undone."""
    worker, job = claimed(store)

    def work() -> None:
        with store.transact(job.id, job.token) as transaction:
            transaction.connection.execute("CREATE TABLE made (n int)")
            store.turn(worker, [Outcome(id=job.id, token=job.token, event=Event.RELEASE)])
            transaction.finish(None, 60.0)

    with pytest.raises(Stale):
        work()
    assert store.read(lambda session: session.rows("SELECT to_regclass('made')")) == [(None,)]
    assert store.states([job.id]) == {job.id: State.WAITING}


def test_a_task_cannot_commit_by_itself(store: PostgresStore) -> None:
    """Half of its work would be there, and done again with the next attempt."""
    _, job = claimed(store)
    with pytest.raises(psycopg.ProgrammingError), store.transact(job.id, job.token) as transaction:
        transaction.connection.commit()
    assert store.states([job.id]) == {job.id: State.RUNNING}


def test_a_task_that_closes_its_connection_has_failed(store: PostgresStore) -> None:
    """It is no trouble of the store's, for which the job would be put off again and again."""
    _, job = claimed(store)

    def work() -> None:
        with store.transact(job.id, job.token) as transaction:
            transaction.connection.close()
            transaction.finish(None, 60.0)

    with pytest.raises(RuntimeError, match="has closed its connection"):
        work()
    assert store.states([job.id]) == {job.id: State.RUNNING}


def test_its_worker_leaves_though_nobody_wants_the_job(store: PostgresStore) -> None:
    """The server may take a while to notice that the task's process was ended: the job must not stay behind."""
    worker, job = claimed(store)
    with store.transact(job.id, job.token):
        store.cancel([job.id])
        assert store.leave(worker) == 0
        assert store.turn(worker, (), [Want("t", 1)]).claimed == ()
    store.upkeep()
    assert store.states([job.id]) == {job.id: State.CANCELLED}
    assert store.workers() == []


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK"])
def test_a_task_that_ends_its_transaction_in_sql_is_not_done(store: PostgresStore, sql: str) -> None:
    """Nothing would be left of its effects, or nothing of the fence."""
    _, job = claimed(store)
    with store.transact(job.id, job.token) as transaction:
        transaction.connection.execute(sql)
        with pytest.raises(RuntimeError, match="has ended its transaction"):
            transaction.finish(None, 60)
    assert store.states([job.id]) == {job.id: State.RUNNING}


def test_its_backend_is_killed(store: PostgresStore, kill: Callable[[str], int]) -> None:
    """Before the commit: nothing has happened, and it is the store that is blamed, not the task."""
    _, job = claimed(store)

    def work() -> None:
        with store.transact(job.id, job.token) as transaction:
            transaction.connection.execute("CREATE TABLE made (n int)")
            assert kill("idle in transaction") == 1
            transaction.connection.execute("SELECT 1")

    def finish() -> None:
        with store.transact(job.id, job.token) as transaction:
            assert kill("idle in transaction") == 1
            transaction.finish(None, 60.0)

    for each in (work, finish):
        with pytest.raises(StoreError):
            each()
    assert store.states([job.id]) == {job.id: State.RUNNING}
    with store.transact(job.id, job.token) as transaction:
        transaction.finish(None, 60.0)


WORKING = """
import sys
from plait.jobs.postgres.store import PostgresStore
store = PostgresStore(sys.argv[1])
with store.transact(int(sys.argv[2]), int(sys.argv[3])) as transaction:
    print("working", flush=True)
    transaction.connection.execute("SELECT pg_sleep(600)")
"""


def test_a_killed_task_keeps_nothing_locked(store: PostgresStore, postgres: str) -> None:
    """Killed in the middle of a long query: the server notices, and its job can be settled."""
    worker, job = claimed(store)
    command = [sys.executable, "-c", WORKING, postgres, str(job.id), str(job.token)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"working\n"
        process.send_signal(signal.SIGKILL)
    turn = store.turn(worker, [Outcome(id=job.id, token=job.token, event=Event.FAIL, error="it was killed")])
    assert turn.refused == ()


def test_backends_are_killed_all_the_time(store: PostgresStore, postgres: str, kill: Callable[[str], int]) -> None:
    """Whatever they do just then: every call succeeds or says why not, nothing is lost, nothing ends twice."""
    over = threading.Event()

    def killing() -> None:
        while not over.is_set():
            kill("%plait%")
            over.wait(0.002)

    thread = threading.Thread(target=killing)
    thread.start()
    worker = store.register(ME)
    stored: set[int] = set()
    ended: list[int] = []
    doubtful: list[Outcome] = []
    try:
        for _ in range(200):
            try:
                stored |= {placed.id for placed in store.enqueue([Draft(task="t")] * 3)[0]}
            except StoreError:
                continue
        for _ in range(2000):
            if len(ended) >= len(stored):
                break
            try:
                turn = store.turn(worker, doubtful, [Want("t", 5)])
            except StoreError:
                try:
                    mine = store.running(worker)
                except StoreError:
                    continue
                known = {outcome.id for outcome in doubtful}
                doubtful += [Outcome(id=j, token=t, event=Event.RELEASE) for j, t in mine if j not in known]
                continue
            ended += [outcome.id for outcome in doubtful if outcome.event is Event.SUCCEED]
            doubtful = [Outcome(id=job.id, token=job.token, event=Event.SUCCEED) for job in turn.claimed]
    finally:
        over.set()
        thread.join()
    while doubtful:
        turn = store.turn(worker, doubtful, [Want("t", 5)])
        doubtful = [Outcome(id=job.id, token=job.token, event=Event.SUCCEED) for job in turn.claimed]
    states = store.states(list(stored))
    assert set(states) == stored
    assert set(states.values()) == {State.DONE}


STOPPED = """
import os, sys
from plait.jobs.postgres.store import PostgresStore
store = PostgresStore(sys.argv[1])
def work(session):
    session.rows("SELECT id FROM plait_job FOR UPDATE")
    print("locked", flush=True)
    sys.stdin.readline()
store.write(work)
"""


def test_a_stopped_process_keeps_nothing_locked(store: PostgresStore, postgres: str) -> None:
    """SIGSTOP in the middle of a transaction: others get what it has locked, after some seconds."""
    worker, job = claimed(store)
    command = [sys.executable, "-c", STOPPED, postgres]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        os.kill(process.pid, signal.SIGSTOP)
        try:
            other = store.register(ME)
            store.enqueue([Draft(task="t")])
            assert len(store.turn(other, (), [Want("t", 1)]).claimed) == 1
            assert store.turn(worker, [Outcome(id=job.id, token=job.token, event=Event.SUCCEED)]).refused == ()
        finally:
            process.kill()
