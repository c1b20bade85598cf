"""PostgreSQL: jobs in the caller's own transaction, on whatever connection of the driver that is."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy
from psycopg.rows import dict_row
from sqlalchemy.orm import Session

import plait
from plait.errors import ConnectionRefused
from plait.jobs import State
from plait.jobs.jobs import Jobs
from plait.jobs.postgres.store import PostgresStore
from plait.jobs.protocol import Event
from plait.jobs.records import Draft, Outcome, Want, WorkerInfo
from tests.support.stores import closing

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def jobs(postgres: str) -> Iterator[Jobs]:
    """A queue with one task."""
    with plait.Jobs(postgres) as made:
        made.task(note)
        made.store.now()  # which opens it
        yield made


def note(text: str) -> str:
    """The task."""
    return text


def engine_url(postgres: str) -> str:
    """The URL as SQLAlchemy wants it."""
    return postgres.replace("postgresql://", "postgresql+psycopg://")


def waiting(jobs: Jobs) -> int:
    """How many jobs somebody else sees."""
    return sum(view.counts.get("waiting", 0) for view in jobs.store.queues())


def test_psycopg(jobs: Jobs, postgres: str) -> None:
    """They appear with the commit, and not before; after a rollback they never were."""
    task = jobs.tasks["note"]
    with psycopg.connect(postgres) as connection:
        job = task.with_(connection=connection).enqueue("a")
        task.with_(connection=connection).enqueue_many([("b",)] * 30)
        assert waiting(jobs) == 0
        connection.commit()
        assert waiting(jobs) == 31
        assert job.state is State.WAITING
        task.with_(connection=connection).enqueue("c")
        connection.rollback()
        assert waiting(jobs) == 31


def test_rows_and_cursors_of_its_owner(jobs: Jobs, postgres: str) -> None:
    """However the connection makes its rows and cursors: with dicts, with $1, on the client."""
    task = jobs.tasks["note"]
    with psycopg.connect(postgres, row_factory=dict_row) as connection:
        task.with_(connection=connection, key="k", unique="a").enqueue("a")
        connection.cursor_factory = psycopg.RawCursor
        task.with_(connection=connection, key="k").enqueue("b")
        connection.cursor_factory = psycopg.ClientCursor
        task.with_(connection=connection, key="k", unique="c").enqueue_many([("c",)] * 25)
    assert waiting(jobs) == 3


def test_a_block_in_autocommit(jobs: Jobs, postgres: str) -> None:
    """A transaction that was begun by hand, and none."""
    task = jobs.tasks["note"]
    with psycopg.connect(postgres, autocommit=True) as connection:
        with pytest.raises(ConnectionRefused, match="autocommit mode and has no transaction open"):
            task.with_(connection=connection).enqueue("a")
        with connection.transaction():
            task.with_(connection=connection).enqueue("a")
            assert waiting(jobs) == 0
        assert waiting(jobs) == 1


def test_async(jobs: Jobs, postgres: str) -> None:
    """On the event loop that the connection belongs to; cancelled in the middle, the connection is its owner's."""
    task = jobs.tasks["note"]

    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(postgres, row_factory=dict_row) as connection:
            joined = task.with_(connection=connection, key="k")
            await joined.enqueue_async("a")
            await asyncio.gather(*(joined.enqueue_async(str(at)) for at in range(5)))
            assert await asyncio.to_thread(waiting, jobs) == 0
            await connection.commit()
            assert await asyncio.to_thread(waiting, jobs) == 6
            await joined.enqueue_async("b")
            await connection.rollback()
            for pause in (0.0, 0.001, 0.003, 0.01):
                call = asyncio.ensure_future(joined.enqueue_async("c"))
                await asyncio.sleep(pause)
                call.cancel()
                await asyncio.wait([call])
                await connection.rollback()
                assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            with pytest.raises(ConnectionRefused, match="enqueue_async"):
                joined.enqueue("c")
        assert await asyncio.to_thread(waiting, jobs) == 6

    asyncio.run(work())


def test_groups_and_chains_async(jobs: Jobs, postgres: str) -> None:
    """Where the loop is blocked there is no way: it says so, instead of waiting for ever."""

    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(postgres) as connection:
            with pytest.raises(ConnectionRefused, match="enqueue_async"):
                jobs.group([jobs.tasks["note"].draft("a")], connection=connection)

    asyncio.run(work())


def test_sqlalchemy(jobs: Jobs, postgres: str) -> None:
    """Its connections and sessions, also where the job is the first thing in the transaction."""
    task = jobs.tasks["note"]
    engine = sqlalchemy.create_engine(engine_url(postgres))
    with engine.connect() as connection:
        task.with_(connection=connection).enqueue("a")
        assert waiting(jobs) == 0
        connection.commit()
        assert waiting(jobs) == 1
        task.with_(connection=connection).enqueue("b")
        connection.rollback()
    with Session(engine) as session:
        task.with_(connection=session).enqueue("c")
        session.commit()
    with Session(engine) as session:
        task.with_(connection=session).enqueue("d")
    with engine.begin() as connection:
        jobs.chain(task.draft("e"), connection=connection)
    assert waiting(jobs) == 3
    engine.dispose()


def test_sqlalchemy_async(jobs: Jobs, postgres: str) -> None:
    """The async kinds: given to enqueue_async, and in run_sync."""
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    task = jobs.tasks["note"]

    async def work() -> None:
        engine = create_async_engine(engine_url(postgres))
        async with AsyncSession(engine) as session:
            await task.with_(connection=session).enqueue_async("a")
            assert await asyncio.to_thread(waiting, jobs) == 0
            await session.commit()
            assert await asyncio.to_thread(waiting, jobs) == 1
            await session.run_sync(lambda inner: task.with_(connection=inner, key="k").enqueue("b"))
            await session.run_sync(lambda inner: task.with_(connection=inner).enqueue_many([("b",)] * 30))
            await session.commit()
            await task.with_(connection=session).enqueue_async("c")
            await session.rollback()
        async with engine.connect() as connection:
            await task.with_(connection=connection).enqueue_async("d")
            await connection.commit()
            await connection.run_sync(lambda inner: task.with_(connection=inner).enqueue("e"))
            await connection.rollback()
        await engine.dispose()
        assert await asyncio.to_thread(waiting, jobs) == 33

    asyncio.run(work())


def test_others_are_refused(jobs: Jobs, postgres: str) -> None:
    """What is no connection of the driver, one that is closed, one whose transaction has failed, one to elsewhere."""
    task = jobs.tasks["note"]
    memory = sqlite3.connect(":memory:")
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as lite:
        for given in (memory, object(), "conn", engine, lite):
            with pytest.raises(ConnectionRefused, match=r"connection= is a .*psycopg\.Connection"):
                task.with_(connection=given).enqueue("a")
    memory.close()
    engine.dispose()
    with psycopg.connect(postgres) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        with pytest.raises(ConnectionRefused, match="has failed: roll it back"):
            task.with_(connection=connection).enqueue("a")
        connection.rollback()
    with pytest.raises(ConnectionRefused, match="is closed"):
        task.with_(connection=connection).enqueue("a")


def test_elsewhere_is_refused(jobs: Jobs, postgres: str) -> None:
    """A connection to a schema without tables, and to one with others: the jobs would lie where nobody looks."""
    task = jobs.tasks["note"]
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA other")
    there = f"{postgres}&options=-csearch_path%3Dother"
    with psycopg.connect(there) as connection, pytest.raises(ConnectionRefused, match="no tables of Plait"):
        task.with_(connection=connection).enqueue("a")
    with plait.Jobs(there) as others:
        assert others.store.queues() == []  # which makes the tables there: the URL's options count
        with psycopg.connect(there) as connection:
            with pytest.raises(ConnectionRefused, match="other jobs than those in"):
                task.with_(connection=connection).enqueue("a")
            others.task(note).with_(connection=connection).enqueue("b")
        assert waiting(others) == 1
    assert waiting(jobs) == 0


def test_a_worker_finds_them_without_being_told(jobs: Jobs, postgres: str) -> None:
    """No NOTIFY is part of the transaction; who listens looks by itself within a second."""
    listener = jobs.store.listen()
    worker = jobs.store.register(WorkerInfo(host="here", pid=1))
    try:
        listener.wait(0.0)
        with psycopg.connect(postgres) as connection:
            jobs.tasks["note"].with_(connection=connection).enqueue("a")
            assert jobs.store.turn(worker, (), [Want("note", 1)]).claimed == ()
        for _ in range(2):  # the first may have been woken by the connection's beginning
            listener.wait(60.0)
        assert len(jobs.store.turn(worker, (), [Want("note", 1)]).claimed) == 1
    finally:
        listener.close()


def test_an_open_transaction_keeps_no_worker(jobs: Jobs, postgres: str) -> None:
    """A client that has found a unique key taken, and goes on with its transaction, does not stop that job's end."""
    store = jobs.store
    worker = store.register(WorkerInfo(host="here", pid=1))
    task = jobs.tasks["note"]
    first = task.with_(unique="u", key="k").enqueue("a")
    with psycopg.connect(postgres) as connection:
        again = task.with_(connection=connection, unique="u").enqueue("b")
        task.with_(connection=connection, key="other").enqueue("c")
        assert again.id == first.id
        (job,) = store.turn(worker, (), [Want("note", 1)]).claimed
        turn = store.turn(worker, [Outcome(id=job.id, token=job.token, event=Event.SUCCEED)])
        assert turn.refused == ()
        store.upkeep()
        store.enqueue([Draft(task="note", unique="u")])
    assert waiting(jobs) == 2


def test_a_forked_child_that_closes_it_leaves_its_parents_connections_alone(postgres):
    store = PostgresStore(postgres)
    with closing(store):
        store.enqueue([Draft(task="t")])
        backend = store._pool._idle[-1][0].info.backend_pid
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(read, 1)
            store.close()
            os._exit(0)

        def work(session):
            os.write(write, b"x")
            os.waitpid(child, 0)
            return session.rows("SELECT pg_backend_pid()")

        tries = []
        found = store.write(lambda session: tries.append(1) or (work(session) if len(tries) == 1 else []))
        os.close(read)
        os.close(write)
        assert found == [(backend,)], "the child has ended the parent's transaction"
