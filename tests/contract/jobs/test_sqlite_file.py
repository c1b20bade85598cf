"""What a SQLite file can be: not there, old, newer, damaged, read-only, locked, full, in a deep folder."""

import os
import re
import signal
import threading
from pathlib import Path

import apsw
import pytest

from plait.errors import ConnectionRefused, StoreBusy, StoreError
from plait.jobs.protocol import State
from plait.jobs.records import Draft, Want, WorkerInfo
from plait.jobs.sql.schema import STEPS, VERSION
from plait.jobs.sqlite.connect import connect
from plait.jobs.sqlite.store import SqliteStore
from tests.support.stores import closing

pytestmark = pytest.mark.timeout(180)
ROOT = os.geteuid() == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def use(store: SqliteStore) -> int:
    """Store a job and have it done; its id."""
    with closing(store):
        job = store.enqueue([Draft(task="t", args=b"x")])[0][0].id
        worker = store.register(WorkerInfo(host="h", pid=1))
        assert [one.id for one in store.turn(worker, (), [Want("t", 9)]).claimed] == [job]
        store.leave(worker)
        return job


# --- opening ---------------------------------------------------------------------------------------------------------


def test_it_is_made_where_it_is_not_there(path: Path):
    use(SqliteStore(path))
    assert path.exists()


def test_an_empty_file_is_as_good_as_none(path: Path):
    path.touch()
    use(SqliteStore(path))


def test_a_file_that_holds_other_tables_too_keeps_them(path: Path):
    with apsw.Connection(str(path)) as connection:
        connection.execute("CREATE TABLE mine (value); INSERT INTO mine VALUES (1)")
    connection.close()
    use(SqliteStore(path))
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT value FROM mine").fetchall() == [(1,)]
    connection.close()


def test_older_tables_are_brought_up_to_date_with_their_jobs(path: Path, monkeypatch: pytest.MonkeyPatch):
    for module in ("plait.jobs.sqlite.connect",):
        monkeypatch.setattr(f"{module}.STEPS", STEPS[:1])
        monkeypatch.setattr(f"{module}.VERSION", 1)
    SqliteStore(path).close()
    connection = connect(str(path))
    connection.execute("INSERT INTO plait_lane VALUES (1, 'default', 't', 0, 0)")
    connection.execute("INSERT INTO plait_counter VALUES ('job', 8), ('lane', 2)")
    connection.execute("INSERT INTO plait_job (id, lane, state, created, args) VALUES (7, 1, 1, 5.0, x'78')")
    connection.close()
    monkeypatch.undo()
    store = SqliteStore(path)
    assert store.show(7).state is State.WAITING
    store.cancel([7])
    use(store)


def test_tables_of_a_newer_version_are_refused_and_left_alone(path: Path):
    job = use(SqliteStore(path))
    connection = connect(str(path))
    connection.execute("UPDATE plait_counter SET next = ? WHERE name = 'version'", (VERSION + 1,))
    connection.close()
    with pytest.raises(StoreError, match=rf"version {VERSION + 1}.*up to {VERSION}.*Update Plait"):
        SqliteStore(path)
    connection = connect(str(path))
    assert connection.execute("SELECT id FROM plait_job").fetchall() == [(job,)]
    connection.close()


def test_two_processes_may_make_the_tables_at_once(path: Path, python):
    script = """
        import sys, threading
        from plait.jobs.records import Draft
        from plait.jobs.sqlite.store import SqliteStore
        ready = threading.Barrier(4)
        def one():
            ready.wait()
            store = SqliteStore(sys.argv[1])
            store.enqueue([Draft(task="t")])
            store.close()
        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """
    results = []
    both = [threading.Thread(target=lambda: results.append(python(script, str(path), timeout=120))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 2
    with closing(store := SqliteStore(path)):
        assert store.queues()[0].counts == {"waiting": 8}


@pytest.mark.parametrize("content", [b"no database, but a text that is long enough to tell" * 40, b"\x00" * 5000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes):
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"is not a SQLite database.*another file"):
        SqliteStore(path)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(StoreError, match=r"nowhere/jobs\.db cannot be written to.*folder"):
        SqliteStore(tmp_path / "nowhere" / "jobs.db")


@pytest.mark.parametrize(
    ("folder", "words"),
    [("nowhere", "Make it first"), ("~/data", "~ in it stand"), ("$HOME", r"\$ in it stand"), ("a~b$c", "Make it")],
)
def test_why_a_folder_is_not_there_is_said(tmp_path: Path, folder: str, words: str):
    where = tmp_path / folder
    with pytest.raises(StoreError, match=rf"there is no folder {re.escape(str(where))}\. ?.*{words}"):
        SqliteStore(where / "jobs.db")


def test_a_path_that_is_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(StoreError, match="cannot be written to"):
        SqliteStore(tmp_path)


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_to_is_refused(path: Path):
    use(SqliteStore(path))
    path.chmod(0o444)
    with pytest.raises(StoreError, match="permissions"):
        use(SqliteStore(path))


def test_nothing_is_left_open_by_what_could_not_be_opened(path: Path, nothing_left: None):
    path.write_bytes(b"no database" * 1000)
    for _ in range(20):
        with pytest.raises(StoreError):
            SqliteStore(path)


def test_a_path_too_long_for_a_socket_still_hears(tmp_path: Path):
    """By looking at the file."""
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    mine, theirs = SqliteStore(deep / "jobs.db"), SqliteStore(deep / "jobs.db")
    listener = theirs.listen()
    with closing(mine, theirs):
        while listener.wait(0.2):
            pass
        thread = threading.Timer(0.05, lambda: mine.enqueue([Draft(task="t")]))
        thread.start()
        assert listener.wait(60.0)
        thread.join()
        listener.close()


# --- locked, full ----------------------------------------------------------------------------------------------------


def test_who_finds_it_locked_for_too_long_is_told_and_nothing_has_happened(path: Path):
    with closing(store := SqliteStore(path, patience=0.2)):
        blocker = apsw.Connection(str(path))
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match=r"locked by another process for 0\.2 s"):
            store.enqueue([Draft(task="t")])
        assert store.queues() == [], "reading goes on meanwhile"
        blocker.execute("ROLLBACK")
        blocker.close()
        assert store.enqueue([Draft(task="t")])[0][0].fresh
        assert store.queues()[0].counts == {"waiting": 1}


def test_who_finds_it_locked_for_a_while_waits(path: Path):
    with closing(store := SqliteStore(path)):
        blocker = apsw.Connection(str(path))
        blocker.execute("BEGIN IMMEDIATE")
        results: list[object] = []
        thread = threading.Thread(target=lambda: results.append(store.enqueue([Draft(task="t")])))
        thread.start()
        thread.join(0.3)
        assert results == []
        blocker.execute("COMMIT")
        thread.join()
        blocker.close()
        assert len(results) == 1


def test_a_full_disk_is_told_and_nothing_of_it_was_stored(path: Path):
    with closing(store := SqliteStore(path)):
        first = store.enqueue([Draft(task="t")])[0][0].id
        connection = store._writer.connection
        pages = connection.pragma("page_count")
        connection.pragma("max_page_count", pages + 3)
        with pytest.raises(StoreError, match="disk is full"):
            store.enqueue([Draft(task="t", args=b"x" * 100_000)])
        assert store.queues()[0].counts == {"waiting": 1}
        connection.pragma("max_page_count", 1_000_000)
        assert store.enqueue([Draft(task="t", args=b"x" * 100_000)])[0][0].id > first
        assert store.queues()[0].counts == {"waiting": 2}


def test_what_is_damaged_is_told(path: Path):
    store = SqliteStore(path)
    store.enqueue([Draft(task="t", args=b"x" * 5000)] * 50)
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreError, match=r"damaged|cannot be read"):
        use(SqliteStore(path))


@pytest.mark.parametrize("full", [True, False])
def test_durability_is_as_asked(path: Path, full: bool):
    """FULL (2) for what must survive a power cut; never for what a beat writes."""
    with closing(store := SqliteStore(path, full=full)):
        seen: list[int] = []

        def look(session) -> None:
            seen.append(store._writer.connection.pragma("synchronous"))

        for durable in (True, False, True):
            store.write(look, durable=durable)
        assert seen == ([2, 1, 2] if full else [1, 1, 1])
        assert store._writer.connection.pragma("journal_mode") == "wal"


def test_a_worker_that_is_killed_is_noticed_by_its_lock(path: Path, python, until):
    """Long before its lease runs out."""
    script = """
        import os, signal, sys
        from plait.jobs.presence import boot, space
        from plait.jobs.records import Want, WorkerInfo
        from plait.jobs.sqlite.store import SqliteStore
        store = SqliteStore(sys.argv[1])
        worker = store.register(WorkerInfo(host="h", pid=os.getpid(), boot=boot(), space=space()))
        assert store.turn(worker, (), [Want("t", 1)]).claimed
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with closing(store := SqliteStore(path)):
        job = store.enqueue([Draft(task="t")])[0][0].id
        assert python(script, str(path), timeout=120).returncode == -9
        assert store.states([job]) == {job: State.RUNNING}
        assert len(store.workers()) == 1
        store.upkeep()
        assert store.states([job]) == {job: State.WAITING}
        assert store.workers() == []
        assert not list(Path(f"{path}-plait").glob("worker-*")), "its lock file is gone, too"


# --- the caller's transaction ----------------------------------------------------------------------------------------


def test_jobs_join_the_callers_transaction(path: Path):
    with closing(store := SqliteStore(path)):
        connection = apsw.Connection(str(path))
        for end, known in (("ROLLBACK", 0), ("COMMIT", 1)):
            connection.execute("BEGIN IMMEDIATE")
            (placed,) = store.enqueue([Draft(task="t")], connection=connection)[0]
            assert store.states([placed.id]) == {}
            connection.execute(end)
            assert len(store.states([placed.id])) == known
        connection.close()


def test_the_number_of_a_job_that_was_rolled_back_is_nobodys(path: Path):
    """Its handle is still about, and must not be that of the next one's job."""
    with closing(store := SqliteStore(path)), closing(connection := apsw.Connection(str(path))):
        connection.execute("BEGIN IMMEDIATE")
        undone = store.enqueue([Draft(task="t", args=b"x")] * 3, connection=connection)[0]
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        again = store.enqueue([Draft(task="t", args=b"x")] * 3, connection=connection)[0]
        connection.execute("COMMIT")
        after = store.enqueue([Draft(task="t", args=b"x")] * 3)[0]
        numbers = [[placed.id for placed in some] for some in (undone, again, after)]
        assert len({number for some in numbers for number in some}) == 9
        assert numbers[1] + numbers[2] == sorted(numbers[1] + numbers[2]), "they are in the order of their storing"


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_taken_away_while_it_is_in_use_is_told(path: Path, replaced: bool):
    """SQLite would go on writing to what has no name any more."""
    with closing(store := SqliteStore(path)):
        path.rename(path.with_name("away.db"))
        if replaced:
            for beside in ("-wal", "-shm"):
                path.with_name(path.name + beside).unlink()
            use(SqliteStore(path))
        for call in (lambda: store.enqueue([Draft(task="t", args=b"x")]), store.queues, store.listen):
            with pytest.raises(StoreError, match="was deleted or replaced while it was in use"):
                call()


def test_a_connection_must_be_to_the_file_and_in_a_transaction(path: Path, tmp_path: Path):
    with closing(store := SqliteStore(path)):
        mine, elsewhere = apsw.Connection(str(path)), apsw.Connection(str(tmp_path / "other.db"))
        with pytest.raises(ConnectionRefused, match="no transaction open"):
            store.enqueue([Draft(task="t")], connection=mine)
        elsewhere.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConnectionRefused, match=r"other\.db"):
            store.enqueue([Draft(task="t")], connection=elsewhere)
        elsewhere.execute("ROLLBACK")
        memory = apsw.Connection(":memory:")
        memory.execute("BEGIN")
        with pytest.raises(ConnectionRefused):
            store.enqueue([Draft(task="t")], connection=memory)
        for connection in (mine, elsewhere, memory):
            connection.close()


def test_an_error_that_ends_the_transaction_by_itself_is_what_is_told(tmp_path):
    """As "disk I/O error" does in SQLite; the ROLLBACK that follows must not replace it by an apsw.SQLError."""
    store = SqliteStore(tmp_path / "jobs.db")

    def work(session):
        session.rows("ROLLBACK")  # stands for what SQLite does then
        raise StoreError("disk I/O error")

    with pytest.raises(StoreError, match="disk I/O error"):
        store.read(work)
    store.close()


def test_a_ctrl_c_while_a_read_begins_breaks_no_later_one(tmp_path):
    """It is raised when the statement has returned, and nobody had ended the transaction."""
    store = SqliteStore(tmp_path / "jobs.db")

    class Interrupted:
        def __init__(self, connection):
            self._connection, self.left = connection, 1

        def execute(self, sql, *values):
            found = self._connection.execute(sql, *values)
            if sql == "BEGIN" and self.left:
                self.left = 0
                signal.raise_signal(signal.SIGINT)
            return found

        def __getattr__(self, name):
            return getattr(self._connection, name)

    store._reader = Interrupted(store._reader)
    with closing(store):
        with pytest.raises(KeyboardInterrupt):
            store.states([1])
        assert store.states([1]) == {}
