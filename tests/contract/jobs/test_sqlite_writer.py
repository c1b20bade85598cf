"""Group commit: what one thread's transaction does for the others."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plait.errors import StoreBusy, StoreError
from plait.jobs.sqlite.writer import Writer

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(str(tmp_path / "jobs.db"), full=False, patience=0.2)
    made.connection.execute("CREATE TABLE kept (value UNIQUE)")
    yield made
    made.close()


def values(writer: Writer) -> set[object]:
    return {row[0] for row in writer.connection.execute("SELECT value FROM kept")}


def put(value: object) -> Callable[..., object]:
    def work(session):
        session.run("INSERT INTO kept VALUES (?)", (value,))
        return value

    return work


class Crowd:
    """Threads whose work gathers while the first holds the writer, and is done in one transaction then."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.answers: dict[str, object] = {}
        self.threads: list[threading.Thread] = []

    def add(self, name: str, work: Callable[..., object]) -> None:
        def run() -> None:
            try:
                self.answers[name] = self.writer.write(work)
            except BaseException as error:
                self.answers[name] = error

        waiting = len(self.writer._waiting)
        thread = threading.Thread(target=run)
        thread.start()
        self.threads.append(thread)
        while len(self.writer._waiting) <= waiting:
            thread.join(0.001)

    def go(self) -> dict[str, object]:
        for thread in self.threads:
            thread.join()
        return self.answers


@pytest.fixture
def crowd(writer: Writer) -> Crowd:
    return Crowd(writer)


def test_work_that_gathers_is_committed_together(writer: Writer, crowd: Crowd):
    commits: list[int] = []
    writer.connection.set_commit_hook(lambda: bool(commits.append(1)))
    with writer._lock:
        for number in range(10):
            crowd.add(str(number), put(number))
    assert crowd.go() == {str(number): number for number in range(10)}
    assert values(writer) == set(range(10))
    assert len(commits) == 1
    writer.connection.set_commit_hook(None)


def test_one_piece_that_fails_undoes_only_itself(writer: Writer, crowd: Crowd):
    def bad(session):
        session.run("INSERT INTO kept VALUES ('half')")
        raise ZeroDivisionError

    with writer._lock:
        crowd.add("a", put("a"))
        crowd.add("bad", bad)
        crowd.add("twice", put("a"))
        crowd.add("b", put("b"))
    answers = crowd.go()
    assert (answers["a"], answers["b"]) == ("a", "b")
    assert isinstance(answers["bad"], ZeroDivisionError)
    assert isinstance(answers["twice"], Exception)
    assert values(writer) == {"a", "b"}


def test_a_transaction_that_cannot_begin_is_told_to_all(writer: Writer, crowd: Crowd):
    import apsw

    blocker = apsw.Connection(writer.path)
    blocker.execute("BEGIN IMMEDIATE")
    with writer._lock:
        crowd.add("a", put("a"))
        crowd.add("b", put("b"))
    answers = crowd.go()
    blocker.execute("ROLLBACK")
    blocker.close()
    assert [type(answer) for answer in answers.values()] == [StoreBusy, StoreBusy]
    assert values(writer) == set()
    assert writer.write(put("c")) == "c"
    assert values(writer) == {"c"}, "what failed is not done later behind anybody's back"


def test_a_ctrl_c_hits_who_does_the_work_and_nobody_elses_gets_lost(writer: Writer, crowd: Crowd):
    """It is raised while the first thread does another's work: that one does it itself then."""
    hit = []

    def interrupted(session):
        put("other")(session)
        if not hit:
            hit.append(threading.current_thread())
            raise KeyboardInterrupt
        return "other"

    with writer._lock:
        crowd.add("one", put("one"))
        crowd.add("other", interrupted)
        crowd.add("two", put("two"))
    answers = crowd.go()
    stopped = [name for name, answer in answers.items() if isinstance(answer, KeyboardInterrupt)]
    assert len(stopped) == 1, "who was interrupted knows it, and nobody else is"
    assert values(writer) == {name for name in answers if name not in stopped}


def test_a_ctrl_c_just_after_the_commit_does_not_do_it_twice(writer: Writer, crowd: Crowd, monkeypatch):
    """The signal's handler runs after the statement that commits."""
    real = writer.connection.execute

    class Once:
        hit = False

        def execute(self, sql, *args):
            answer = real(sql, *args)
            if sql == "COMMIT" and not self.hit:
                self.hit = True
                raise KeyboardInterrupt
            return answer

        def __getattr__(self, name):
            return getattr(connection, name)

    connection = writer.connection
    with writer._lock:
        crowd.add("a", put("a"))
        crowd.add("b", put("b"))
        writer.connection = Once()  # type: ignore[assignment]
    answers = crowd.go()
    writer.connection = connection
    assert values(writer) == {"a", "b"}
    assert sorted(type(answer).__name__ for answer in answers.values()) == ["KeyboardInterrupt", "str"]
    assert writer.write(put("c")) == "c"


def test_an_interrupted_transaction_is_undone(writer: Writer):
    def interrupted(session):
        put("a")(session)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writer.write(interrupted)
    assert values(writer) == set()
    assert writer.write(put("b")) == "b"
    assert values(writer) == {"b"}
    assert not writer._waiting


def test_a_full_disk_fails_all_of_a_transaction_and_none_of_the_next(writer: Writer, crowd: Crowd):
    pages = writer.connection.pragma("page_count")
    writer.connection.pragma("max_page_count", pages + 2)
    with writer._lock:
        crowd.add("small", put("small"))
        crowd.add("large", put(b"x" * 1_000_000))
    answers = crowd.go()
    assert all(isinstance(answer, StoreError) for answer in answers.values())
    assert values(writer) == set()
    writer.connection.pragma("max_page_count", 1_000_000)
    assert writer.write(put("small")) == "small"
    assert values(writer) == {"small"}
