"""PostgreSQL: what a URL may say, what a role may do, what the tables can hold; and what is said where that fails."""

import contextlib
import logging
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

import plait
from plait.errors import ArgumentRefused, PlaitError, StoreError
from plait.jobs.postgres.listen import APART
from plait.jobs.postgres.server import Server
from plait.jobs.postgres.store import PostgresStore
from plait.jobs.protocol import Event, State
from plait.jobs.records import Draft, Note, Outcome, Rule, Want, WorkerInfo
from plait.jobs.schedules import Schedules

pytestmark = pytest.mark.timeout(300)

ME = WorkerInfo(host="here", pid=1)
#: What no text of PostgreSQL can have in it.
HOSTILE = "a\0b\ud800c"


@pytest.fixture
def store(postgres: str) -> Iterator[PostgresStore]:
    """A store."""
    made = PostgresStore(postgres)
    yield made
    made.close()


def setting(url: str, name: str) -> str:
    """A setting of the sessions of a store."""
    connection = Server(url).connect()
    try:
        return connection.execute("SELECT current_setting(%s)", (name,)).fetchone()[0]  # type: ignore[index]
    finally:
        connection.close()


# --- the URL ----------------------------------------------------------------------------------------------------------


def test_what_the_url_says_counts(postgres: str) -> None:
    """Its options are not replaced by those that Plait needs; and those are there as well."""
    assert setting(postgres, "idle_in_transaction_session_timeout") == "5s"
    assert setting(postgres, "application_name") == "plait"
    said = f"{postgres}&options=-cwork_mem%3D7MB%20-clock_timeout%3D3s&application_name=mine"
    assert setting(said, "work_mem") == "7MB"
    assert setting(said, "lock_timeout") == "3s"
    assert setting(said, "idle_in_transaction_session_timeout") == "5s"
    assert setting(said, "application_name") == "mine"


def test_a_service(postgres: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that only names one; the database and the rest come from its file."""
    parts = conninfo_to_dict(postgres)
    file = f"{tmp_path}/services"
    with open(file, "w") as made:
        made.write(f"[queue]\nhost={parts['host']}\nuser=postgres\ndbname={parts['dbname']}\nconnect_timeout=33\n")
    monkeypatch.setenv("PGSERVICEFILE", file)
    with plait.Jobs("postgresql://?service=queue") as jobs:
        assert jobs.task(len).enqueue("abc").state is State.WAITING
    assert Server("postgresql://?service=queue")._connecting == {}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:s3cret@127.0.0.1:1/db",
        "postgresql://ada@127.0.0.1:1/db?password=s3cret",
        "postgresql:///db?host=/nowhere&user=ada&password=s3cret",
        "postgresql://ada:s3cret@[::1/db",
        "postgresql://ada:s3cret@host:port/db",
        "postgresql://ada@host/db?password=s3cret&nonsense=1",
        "postgresqll://ada:s3cret@host/db",
        "mysql://ada:s3cret@host/db",
    ],
)
def test_passwords_are_not_told(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not in messages, not in what they were raised from, not in the log, not in a repr."""
    caplog.set_level(logging.DEBUG)
    said = ""
    try:
        jobs = plait.Jobs(url)
        said += repr(jobs)
        task = jobs.task(len)
        said += repr(task)
        task.enqueue("abc")
    except PlaitError as error:
        said += "".join(traceback.format_exception(error))
    assert "Error" in said
    assert "s3cret" not in said
    assert "s3cret" not in caplog.text


def test_a_server_that_is_not_there() -> None:
    """It is said at once why, and not that there was no room."""
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/db cannot be reached: .*refused"):
        PostgresStore("postgresql://127.0.0.1:1/db")


# --- roles and tables -------------------------------------------------------------------------------------------------


@pytest.fixture
def role(postgres: str) -> Iterator[tuple[str, Callable[[str], None]]]:
    """The URL of a role that may nothing yet, and what grants it something."""
    name = f"role_{threading.get_native_id()}_{conninfo_to_dict(postgres)['dbname']}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))

        def grant(what: str) -> None:
            connection.execute(SQL(what + " TO {}").format(Identifier(name)))  # type: ignore[arg-type]

        yield postgres.replace("postgres@", f"{name}@"), grant
        connection.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
        connection.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def test_a_role_that_may_not_create_tables(role: tuple[str, Callable[[str], None]]) -> None:
    """It is told what it needs."""
    with pytest.raises(StoreError, match="Plait needs a role that may create tables once"):
        PostgresStore(role[0])


def test_a_role_that_may_only_read_and_write(store: PostgresStore, role: tuple[str, Callable[[str], None]]) -> None:
    """Tables that are there are enough for everything that clients and workers do."""
    url, grant = role
    grant("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public")
    grant("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public")
    theirs = PostgresStore(url)
    try:
        worker = theirs.register(ME)
        placed, _ = theirs.enqueue([Draft(task="t", unique=str(at), key="k") for at in range(25)])
        turn = theirs.turn(worker, (), [Want("t", 30)])
        theirs.turn(worker, [Outcome(id=job.id, token=job.token, event=Event.FAIL) for job in turn.claimed])
        theirs.redo([placed[0].id])
        theirs.cancel([placed[0].id])
        theirs.pause("default")
        theirs.resume("default")
        theirs.put_schedule("s", "t", b"", 1.0)
        theirs.upkeep()
        listener = theirs.listen()
        listener.wait(0.01)
        listener.close()
        theirs.leave(worker)
    finally:
        theirs.close()


def test_many_make_the_tables_at_once(postgres: str) -> None:
    """Processes that are all the first."""
    script = "import sys; from plait.jobs.postgres.store import PostgresStore; PostgresStore(sys.argv[1]).close()"
    made = [subprocess.Popen([sys.executable, "-W", "error", "-c", script, postgres]) for _ in range(6)]
    assert [process.wait(120) for process in made] == [0] * 6


def test_a_database_of_any_encoding(postgres: str) -> None:
    """SQL_ASCII, which initdb chooses without a locale: the driver has bytes for its texts, and no task's name."""
    name = f"{conninfo_to_dict(postgres)['dbname']}_ascii"
    its = conninfo_to_dict(postgres)
    with psycopg.connect(postgres, autocommit=True) as connection:
        made = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
        connection.execute(SQL(made).format(Identifier(name)))
        try:
            with contextlib.closing(PostgresStore(f"postgresql://{its['user']}@/{name}?host={its['host']}")) as store:
                worker = store.register(ME)
                [placed], _ = store.enqueue([Draft(task="grüße")])
                [job] = store.turn(worker, (), [Want("grüße", 1)]).claimed
                store.turn(worker, [Outcome(id=job.id, token=job.token, event=Event.FAIL, error="中")])
                assert store.show(placed.id).error == "中"
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def test_tables_of_a_later_version(postgres: str, store: PostgresStore) -> None:
    """They are left alone."""
    with psycopg.connect(postgres) as connection:
        connection.execute("UPDATE plait_meta SET value = 99 WHERE name = 'version'")
    with pytest.raises(StoreError, match=r"are of schema version 99; .* Update Plait here"):
        PostgresStore(postgres)


def test_tables_that_were_dropped(postgres: str, store: PostgresStore) -> None:
    """It is said that they are missing."""
    with psycopg.connect(postgres) as connection:
        connection.execute("DROP TABLE plait_job")
    with pytest.raises(StoreError, match="has not the tables of Plait"):
        store.enqueue([Draft(task="t")])


# --- texts ------------------------------------------------------------------------------------------------------------


def test_what_no_text_can_have(store: PostgresStore) -> None:
    """NUL, and half of a surrogate pair: nothing is lost for them, wherever they come from."""
    rule = Rule("t/limit-0", cap=1, keyed=0)
    worker = store.register(ME)
    for count in (1, 25):
        drafts = [Draft(task="t", key=HOSTILE, unique=f"{HOSTILE}{at}", gates=(HOSTILE,)) for at in range(count)]
        placed, _ = store.enqueue(drafts)
        for _ in range(count):
            (job,) = store.turn(worker, (), [Want("t", 5, (rule,))]).claimed
            store.note([Note(job.id, job.token, 0.5, HOSTILE)])
            outcome = Outcome(id=job.id, token=job.token, event=Event.FAIL, error=HOSTILE, traceback=HOSTILE)
            assert store.turn(worker, [outcome]).refused == ()
        assert set(store.states([place.id for place in placed]).values()) == {State.FAILED}
    snapshot = store.show(placed[0].id)
    assert snapshot is not None
    assert snapshot.error == "a\\x00b\\ud800c"


@pytest.mark.parametrize(
    "draft",
    [
        Draft(task="t", unique="ü" * 3000),
        Draft(task="t", key="x" * 3000),
        Draft(task="t", gates=("short", "x" * 3000)),
        Draft(task="x" * 3000),
        Draft(task="t", then=(Draft(task="t", key="x" * 3000),)),
    ],
)
def test_texts_that_no_index_can_hold(store: PostgresStore, draft: Draft) -> None:
    """They are refused where they are given."""
    with pytest.raises(ArgumentRefused, match=r"3,00|6,00"):
        store.enqueue([draft])


def test_texts_as_long_as_may_be(store: PostgresStore) -> None:
    """Random ones, which do not get shorter by packing them."""
    import random

    text = "".join(chr(random.randrange(0x4E00, 0x9FFF)) for _ in range(800))
    rule = Rule("t/limit-0", cap=1, keyed=0)
    store.enqueue([Draft(task="t", unique=text, key=text, gates=(text,)) for _ in range(2)])
    store.enqueue([Draft(task="t", key=text, gates=(text,))])
    worker = store.register(ME)
    assert len(store.turn(worker, (), [Want("t", 5, (rule,))]).claimed) == 1


# --- telling ----------------------------------------------------------------------------------------------------------


def test_what_is_told_is_told_once(postgres: str, store: PostgresStore) -> None:
    """Many who enqueue within a moment cost few notifications."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("LISTEN plait_workers")
        began = store.now()
        for _ in range(200):
            store.enqueue([Draft(task="t")])
        most = 2 * (1 + (store.now() - began) / APART)  # in such a time, one by who enqueues and one by the thread
        heard = len(list(connection.notifies(timeout=1.0)))
    assert 1 <= heard <= most
    assert heard < 200


def test_a_listener_whose_connection_is_ended(postgres: str, store: PostgresStore) -> None:
    """It wakes who waits, and listens again."""
    listener = store.listen()
    try:
        for _ in range(3):
            ended = 0
            while not ended:  # until it listens (again)
                listener.wait(0.1)
                with psycopg.connect(postgres, autocommit=True) as connection:
                    (ended,) = connection.execute(
                        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
                        "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                    ).fetchone()  # type: ignore[misc]
            assert any(listener.wait(5.0) for _ in range(20))
    finally:
        listener.close()


def test_a_machine_without_a_folder_for_temporary_files(postgres):
    """A container whose file system is read-only: who only enqueues needs none."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "from plait.jobs.postgres.store import PostgresStore; from plait.jobs.records import Draft\n"
        "PostgresStore(sys.argv[1]).enqueue([Draft(task='t')])"
    )
    done = subprocess.run([sys.executable, "-c", code, postgres], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_schedule_that_cannot_be_stored_keeps_no_other_from_firing(store: PostgresStore, caplog) -> None:
    """Its key is one that the server's index cannot hold, which no other store minds."""
    clock = [1000.0]
    store._clock = lambda: clock[0]
    jobs = plait.Jobs("memory://", store=store)
    large, small = jobs.task(name="large" * 110)(lambda: None), jobs.task(name="small")(lambda: None)
    jobs.schedule(60.0, large.with_(key="\U00020000" * 500), name="a")
    jobs.schedule(60.0, small, name="b")
    workers = Schedules(jobs.schedules, store)
    workers.fire()
    clock[0] += 61.0
    workers.fire()
    assert [view.task for view in store.queues()] == ["small"]
    assert "Schedule 'a' cannot be submitted" in caplog.text
