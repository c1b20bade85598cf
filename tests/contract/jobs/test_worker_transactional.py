"""`transactional=True`: what a task writes into the store's database and its job's being done are one."""

import time

import pytest

import plait
from plait.errors import JobFailed
from plait.jobs import current
from plait.jobs.sqlite.connect import connect
from tests.contract.jobs.at_work import PATIENCE, at_work, queue, results

pytestmark = pytest.mark.timeout(300)


class Ledger:
    """A table of the user's own, in the database of the jobs."""

    def __init__(self, jobs):
        self.jobs = jobs
        jobs.store  # noqa: B018 - the tables are there from now on
        self._run("CREATE TABLE ledger (note TEXT)")

    def _run(self, sql):
        if self.jobs.url.startswith("sqlite"):
            connection = connect(self.jobs.url.removeprefix("sqlite:///"))
            rows = connection.execute(sql).fetchall()
            connection.close()
            return rows
        import psycopg

        with psycopg.connect(self.jobs.url, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def notes(self):
        return sorted(row[0] for row in self._run("SELECT note FROM ledger"))

    def task(self, **options):
        """A task that writes into the ledger, and then does what it is asked to."""

        @self.jobs.task(transactional=True, **options)
        def book(connection, note, what="return"):
            connection.execute(f"INSERT INTO ledger VALUES ('{note}')")
            if what == "raise" or (what == "raise once" and current().attempt == 1):
                raise RuntimeError(f"after writing {note}")
            if what == "sleep":
                time.sleep(3600)
            return note.upper()

        return book


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request):
    with queue(request.param, request) as jobs:
        yield Ledger(jobs)


def test_effects_and_the_end_of_the_job_are_committed_together(ledger):
    book = ledger.task()
    with at_work(ledger.jobs):
        assert results(book.enqueue_many([(f"n{n}",) for n in range(20)])) == [f"N{n}" for n in range(20)]
    assert ledger.notes() == sorted(f"n{n}" for n in range(20))


def test_an_error_undoes_the_effects(ledger):
    book = ledger.task()
    with at_work(ledger.jobs), pytest.raises(JobFailed, match="after writing lost"):
        book.enqueue("lost", "raise").result(PATIENCE)
    assert ledger.notes() == []


def test_a_retry_has_effects_once(ledger):
    book = ledger.task(retries=plait.Retry(2, backoff=0.05))
    with at_work(ledger.jobs):
        assert book.enqueue("kept", "raise once").result(PATIENCE) == "KEPT"
    assert ledger.notes() == ["kept"]


def test_a_timeout_undoes_the_effects_and_frees_the_store(ledger):
    book = ledger.task(timeout=1.0)

    @ledger.jobs.task(transactional=True)
    def after(connection):
        connection.execute("INSERT INTO ledger VALUES ('next')")

    with at_work(ledger.jobs):
        with pytest.raises(JobFailed, match="ItemTimeout"):
            book.enqueue("stuck", "sleep").result(PATIENCE)
        after.enqueue().result(PATIENCE)
    assert ledger.notes() == ["next"]


def test_it_works_beside_tasks_of_other_kinds(ledger):
    book = ledger.task()

    @ledger.jobs.task
    async def plain(n):
        return n

    with at_work(ledger.jobs):
        booked = book.enqueue_many([(f"n{n}",) for n in range(10)])
        counted = plain.enqueue_many([(n,) for n in range(200)])
        assert results(counted) == list(range(200))
        results(booked)
    assert len(ledger.notes()) == 10
