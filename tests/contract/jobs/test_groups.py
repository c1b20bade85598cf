"""Groups and chains: what follows comes once, when it should, with the results that it should get."""

import datetime as dt
import pickle
import threading
from pathlib import Path

import apsw
import pytest

import plait
from plait import Failure, JobCancelled, JobFailed, Jobs, OptionError, ResultTimeout
from plait.jobs.records import Filter
from plait.jobs.testing import MemoryStore, VirtualClock
from tests.contract.jobs import desk

PATIENCE = 60.0


class Desk:
    """A queue with the tasks of `desk`, by name."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        for task in desk.jobs.tasks.values():
            options = {"resources": {"session": dict}} if task is desk.with_session else {"retries": 0}
            jobs.task(**options)(task.__plait_function__)

    def __getattr__(self, name: str):
        return self.jobs.tasks[name]

    def results_of(self, task: str) -> list:
        """What the jobs of a task came to: their results, or how they failed."""
        found = []
        for shown in reversed(self.jobs.store.find(Filter(task=task))):
            job = self.jobs.job(shown.id)
            try:
                found.append(job.result(0))
            except (JobFailed, JobCancelled, ResultTimeout) as error:
                found.append(str(error))
        return found


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def at(request: pytest.FixtureRequest, tmp_path: Path):
    """A `Desk` in each kind of store."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")
    else:
        url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'jobs.db'}"
    with Jobs(url) as made:
        yield Desk(made)


# --- groups ---------------------------------------------------------------------------------------------------------


def test_what_follows_gets_the_results_in_order_as_its_annotation_says(at):
    parts = [at.thumbnail.draft(name, size=at_) for at_, name in enumerate("abc")]
    group = at.jobs.group(parts, then=at.bundle.draft(name="trip"))
    assert (len(group), group.left) == (3, 3)
    assert at.jobs.run_pending() == 4
    assert group.left == 0
    assert group.results(0) == [desk.Picture(name, size) for size, name in enumerate("abc")]
    assert at.results_of("bundle") == ["trip: a@0 b@1 c@2"]


def test_what_follows_comes_only_when_all_have_ended(at):
    drafts = [at.double.draft(n) for n in range(3)]
    group = at.jobs.group(drafts, then=at.total.draft())
    group.jobs[1].cancel()
    later = at.jobs.group([at.double.with_(delay=3600).draft(1)], then=at.total.draft())
    assert at.jobs.run_pending() == 3
    assert (group.left, later.left) == (0, 1)
    words = at.results_of("total")
    assert len(words) == 1
    assert "1 of 3 parts of the group did not succeed" in words[0]


def test_a_group_of_nothing(at):
    group = at.jobs.group([], then=at.total.draft())
    assert (group.results(0), group.left, len(group)) == ([], 0, 0)
    assert at.jobs.run_pending() == 1
    assert at.results_of("total") == [0]
    assert at.jobs.group([]).left == 0


@pytest.mark.parametrize(
    ("on_error", "expected"),
    [("raise", "failed: ValueError: two"), ("skip", 8), ("return", 8)],
)
def test_parts_that_fail(at, on_error, expected):
    parts = [at.double.draft(1), at.fails.draft("two"), at.double.draft(3)]
    group = at.jobs.group(parts, then=at.total.draft(), on_error=on_error)
    at.jobs.run_pending()
    (found,) = at.results_of("total")
    assert expected == found if isinstance(expected, int) else expected in found
    with pytest.raises(JobFailed, match="ValueError: two"):
        group.results(0)


def test_failed_parts_end_what_follows_at_once_whatever_its_retries():
    jobs = Jobs("memory://", store=MemoryStore(VirtualClock()))
    total = jobs.task(retries=5)(desk.total.__plait_function__)
    typed = jobs.task(retries=5, name="typed")(_typed)
    fails = jobs.task(desk.fails.__plait_function__)
    jobs.group([fails.draft("x")], then=total.draft())
    jobs.group([fails.draft("x")], then=typed.draft(), on_error="return")
    assert jobs.run_pending() == 4
    ended = [jobs.job(shown.id) for shown in jobs.store.find(Filter()) if shown.task in ("total", "typed")]
    assert [job.state for job in ended] == ["failed", "failed"]
    with pytest.raises(JobFailed, match=r"a plait\.Failure stands for it among the results"):
        ended[0].result(0)


def _typed(numbers: list[int]) -> int:
    return sum(numbers)


def test_failures_are_given_as_such_where_the_annotation_allows_it():
    jobs = Jobs("memory://")
    seen: list = []

    @jobs.task
    def look(results: list[int | Failure], days: list[dt.date] | None = None) -> None:
        seen.extend([*results, days])

    double, fails = jobs.task(desk.double.__plait_function__), jobs.task(desk.fails.__plait_function__)
    jobs.group([double.draft(1), fails.draft("no")], then=look.draft(days=[dt.date(2026, 1, 1)]), on_error="return")
    jobs.run_pending()
    two, failure, days = seen
    assert (two, days) == (2, [dt.date(2026, 1, 1)])
    assert isinstance(failure, Failure)
    assert (failure.index, str(failure.exception)) == (1, f"Job {failure.exception.job} has failed: ValueError: no")


def test_a_part_that_is_run_again_counts_once(at):
    group = at.jobs.group([at.double.draft(1), at.fails.draft("x")])
    at.jobs.run_pending()
    assert group.jobs[1].retry()
    assert group.left in (0, 1)
    at.jobs.run_pending()
    assert group.left == 0


def test_parts_of_a_group_are_stored_whatever_their_unique_says(at):
    unique = at.double.with_(unique="x")
    alone = unique.enqueue(1)
    group = at.jobs.group([unique.draft(1), unique.draft(2)])
    assert len({alone.id, *(job.id for job in group.jobs)}) == 3
    at.jobs.run_pending()
    assert group.results(0) == [2, 4]


def test_a_group_is_stored_as_a_whole_or_not_at_all(at):
    for parts, words in [
        ([at.double.draft(1), at.double.draft("x")], "Expected `int`"),
        ([at.double.draft(1), at.double.draft()], "missing a required argument"),
    ]:
        with pytest.raises(plait.ArgumentRefused, match=words):
            at.jobs.group(parts)
    with pytest.raises(plait.ArgumentRefused, match="unexpected keyword argument 'names'"):
        at.jobs.group([at.double.draft(1)], then=at.bundle.draft(names="x"))
    assert at.jobs.store.find(Filter()) == []


def test_what_is_no_draft_or_another_queues():
    jobs, other = Jobs("memory://"), Desk(Jobs("memory://"))
    double = jobs.task(desk.double.__plait_function__)
    for wrong in (double(1), double, "double"):
        with pytest.raises(OptionError, match="it takes drafts, like"):
            jobs.group([wrong])
        with pytest.raises(OptionError, match="it takes drafts, like"):
            jobs.chain(double.draft(1), wrong)
    with pytest.raises(OptionError, match="a draft of another queue's task"):
        jobs.group([double.draft(1), other.double.draft(1)])
    with pytest.raises(OptionError, match="a draft of another queue's task"):
        jobs.group([double.draft(1)], then=other.total.draft())
    with pytest.raises(OptionError, match="at least one draft"):
        jobs.chain()
    with pytest.raises(OptionError, match=r"on_error='ignore' .*\"raise\", \"skip\" or \"return\""):
        jobs.group([double.draft(1)], on_error="ignore")


def test_a_group_is_cancelled(at):
    group = at.jobs.group([at.double.draft(n) for n in range(600)], then=at.total.draft())
    group.cancel()
    assert group.left == 0
    with pytest.raises(JobCancelled):
        group.results(0)
    assert at.jobs.run_pending() == 1
    assert "600 of 600 parts of the group did not succeed" in at.results_of("total")[0]


def test_results_of_a_group_are_waited_for_together(at):
    group = at.jobs.group([at.double.draft(n) for n in range(700)])
    with pytest.raises(ResultTimeout):
        group.results(0.01)
    timer = threading.Timer(0.05, at.jobs.run_pending)
    timer.start()
    assert group.results(PATIENCE) == [2 * n for n in range(700)]
    timer.join()
    again = pickle.loads(pickle.dumps(group))
    assert (again.id, again.jobs, repr(again)) == (group.id, group.jobs, repr(group))


def test_results_that_are_not_kept_reach_what_follows_all_the_same(at):
    double = at.jobs.task(keep=0, name="brief")(desk.double.__plait_function__)
    odd = at.jobs.task(keep=0, name="odd")(_unstorable)
    group = at.jobs.group([double.draft(1), double.draft(2), odd.draft()], then=at.total.draft())
    at.jobs.chain(double.draft(5), at.double.draft())
    at.jobs.chain(odd.draft(), at.shows.draft())
    assert at.jobs.run_pending() == 8
    assert group.results(0) == [2, 4, None]
    assert (at.results_of("total"), at.results_of("double"), at.results_of("shows")) == ([6], [20], ["None"])


def _unstorable() -> object:
    return object()


# --- chains ---------------------------------------------------------------------------------------------------------


def test_each_link_gets_what_the_one_before_returned_as_its_annotation_says(at):
    first = at.jobs.chain(at.tomorrow.draft(dt.date(2026, 12, 31)), at.tomorrow.draft(), at.tomorrow.draft())
    assert at.jobs.run_pending() == 3
    assert first.result(0) == dt.date(2027, 1, 1)
    assert at.results_of("tomorrow") == [dt.date(2027, 1, day) for day in (1, 2, 3)]


def test_a_link_that_returns_nothing_gives_none_to_the_next(at):
    at.jobs.chain(at.idle.draft(), at.shows.draft(), at.shows.draft())
    assert at.jobs.run_pending() == 3
    assert at.results_of("shows") == ["None", "'None'"]


def test_a_chain_ends_where_a_link_fails(at):
    first = at.jobs.chain(at.fails.draft("no"), at.double.draft())
    assert at.jobs.run_pending() == 1
    assert first.state == "failed"
    assert at.results_of("double") == []


def test_links_may_have_more_arguments_and_options(at):
    at.jobs.chain(at.thumbnail.with_(key="a").draft("x.png"), at.hands.draft(width=3))
    at.jobs.run_pending()
    assert at.results_of("hands") == ["x.png 3"]


def test_a_link_that_takes_no_result_is_refused(at):
    with pytest.raises(plait.ArgumentRefused, match="no parameter for the result before it"):
        at.jobs.chain(at.double.draft(1), at.idle.draft())


def test_groups_and_chains_belong_to_the_callers_transaction(tmp_path):
    with Jobs(f"sqlite:///{tmp_path / 'jobs.db'}") as jobs:
        found = Desk(jobs)
        assert jobs.store.find(Filter()) == []
        connection = apsw.Connection(str(tmp_path / "jobs.db"))
        with connection:
            jobs.group([found.double.draft(1)], then=found.total.draft(), connection=connection)
            jobs.chain(found.double.draft(2), found.double.draft(), connection=connection)
            assert jobs.store.find(Filter()) == []  # nobody sees it before it is committed
        assert jobs.run_pending() == 4
        assert sorted(found.results_of("double")) == [2, 4, 8]
        connection.close()
