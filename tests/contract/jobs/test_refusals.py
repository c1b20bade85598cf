"""What is refused is told so that a stranger knows what to do: which of many calls, which option, what instead."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy

import plait
from plait import ArgumentRefused, ConnectionRefused, Jobs, OptionError, UnknownOption
from plait.jobs import Snooze
from plait.jobs.protocol import Event
from plait.jobs.worker.perform import Order
from plait.jobs.worker.verdict import verdict


@pytest.fixture
def jobs():
    return Jobs("memory://")


def double(n: int) -> int:
    return 2 * n


# --- which of many --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [("x",), (), {"m": 1}, 17], ids=repr)
def test_the_call_is_named_that_keeps_many_from_being_stored(jobs, wrong):
    calls = [(n,) for n in range(5_002)]
    calls[16] = wrong
    with pytest.raises(ArgumentRefused, match=r"^double was not enqueued \(call 17 of 5,002\): ") as caught:
        jobs.task(double).enqueue_many(iter(calls))
    assert caught.value.task == "double"
    assert "call 17" not in caught.value.why
    assert jobs.store.queues() == []


def test_so_are_parts_and_links(jobs):
    task = jobs.task(double)
    with pytest.raises(ArgumentRefused, match=r"\(part 2 of 3\): "):
        jobs.group([task.draft(1), task.draft("x"), task.draft(3)])
    with pytest.raises(ArgumentRefused, match=r"\(then=\): "):
        jobs.group([task.draft(1)], then=task.draft(m=1))
    with pytest.raises(ArgumentRefused, match=r"\(link 2 of 2\): "):
        jobs.chain(task.draft(1), task.draft(m=1))
    with pytest.raises(ArgumentRefused, match=r"^double was not enqueued: "):
        task.enqueue("x")
    assert jobs.store.queues() == []


# --- what an option takes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("job", ["4", 4.0, True, None])
def test_what_is_no_id_is_refused_as_such(jobs, job):
    with pytest.raises(OptionError, match=f"job={job!r} cannot be used: it takes the id of a job, a whole number"):
        jobs.job(job)


def test_a_value_that_is_refused_is_not_quoted_at_length(jobs):
    task = jobs.task(double)
    for name in ("key", "unique", "queue"):
        with pytest.raises(OptionError, match=rf"{name}='kkkk.*3,000,002 characters") as caught:
            task.with_(**{name: "k" * 3_000_000})
        assert len(str(caught.value)) < 500
        assert caught.value.value == "k" * 3_000_000


@pytest.mark.parametrize("queue", ["", "a,b", "a\0b", "a\x1fb", "q" * 501])
def test_what_may_be_the_name_of_a_queue_is_said(jobs, queue):
    with pytest.raises(OptionError, match="a name of 1 to 500 characters, without commas, NUL"):
        jobs.task(double).with_(queue=queue)


@pytest.mark.parametrize("seconds", [-1, -0.001])
def test_nobody_snoozes_into_the_past(seconds):
    with pytest.raises(ValueError, match="from 0"):
        Snooze(seconds)
    assert Snooze(0).seconds == 0


def test_the_options_of_a_task_are_told(jobs):
    with pytest.raises(UnknownOption, match=r"Did you mean 'transactional'\?.*Known: .*transactional"):
        jobs.task(transactonal=True)(double)


@pytest.mark.parametrize("option", ["delay", "at", "unique", "unique_for", "connection"])
def test_what_is_said_of_each_job_is_not_said_of_its_task(jobs, option):
    with pytest.raises(UnknownOption, match=rf"no option '{option}'.*with_\({option}=\.\.\.\)"):
        jobs.task(**{option: 1})(double)


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ("sqlite:///jobs.db", "a text"),
        (sqlalchemy.create_engine("sqlite://"), r"Engine.*engine\.begin\(\)"),
        (sqlalchemy.make_url("sqlite://"), "URL"),
        (Path("jobs.db"), "PosixPath"),
    ],
    ids=["text", "engine", "url", "path"],
)
def test_what_makes_connections_is_none(jobs, connection, words):
    task = jobs.task(double)
    for enqueue in (
        lambda: task.with_(connection=connection),
        lambda: jobs.group([task.draft(1)], connection=connection),
        lambda: jobs.chain(task.draft(1), connection=connection),
    ):
        with pytest.raises(ConnectionRefused, match=words):
            enqueue()


def test_connections_of_other_drivers_are_looked_at_by_the_store(tmp_path):
    with Jobs(f"sqlite:///{tmp_path}/jobs.db") as jobs, closing(sqlite3.connect(":memory:")) as other:
        task = jobs.task(double).with_(connection=other)
        with pytest.raises(ConnectionRefused, match="apsw"):
            task.enqueue(1)


def test_a_method_has_no_jobs(jobs):
    class Studio:
        @jobs.task
        def times(self, x: int) -> int:
            return 3 * x

    assert Studio().times(2) == 6
    for what in ("enqueue", "draft", "enqueue_many", "enqueue_async"):
        with pytest.raises(AttributeError, match=r"times is a method.*no job.*static"):
            getattr(Studio().times, what)
        assert not hasattr(Studio().times, what)
    with pytest.raises(AttributeError, match="nothing"):
        _ = Studio().times.nothing


# --- what has happened ----------------------------------------------------------------------------------------------


def test_a_part_that_was_cancelled_has_not_failed(jobs):
    @jobs.task
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @jobs.task
    def kinds(parts: list) -> list[str]:
        return [type(part.exception).__name__ for part in parts]

    task = jobs.task(double)
    for then, on_error in ((total, "raise"), (kinds, "return")):
        group = jobs.group([task.draft(1)], then=then.draft(), on_error=on_error)
        group.jobs[0].cancel()
        jobs.run_pending()
        (last,) = [job for job in jobs.store.find(plait.jobs.records.Filter()) if job.task == then.name]
        if then is total:
            first = group.jobs[0].id
            said = f"1 of 1 parts of the group did not succeed: job {first} was cancelled"
            assert last.error.startswith(f"PartsFailed: {said}")
            assert "failed:" not in last.error
        else:
            assert jobs.job(last.id).result(0) == ["JobCancelled"]


def test_an_error_without_words_has_no_colon():
    order = Order(1, 1, b"", 1, 0, 0.0)
    failure = plait.Failure(order, 0, "t", 1, KeyboardInterrupt(), "")
    outcome = verdict(failure, plait.Retry(), 60.0, 0.0, lambda: 0.0)
    assert (outcome.event, outcome.error) == (Event.FAIL, "KeyboardInterrupt")
