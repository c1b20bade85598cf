"""Schedules over all stores: who fires them, what overlaps, code that changes, clocks that go wrong."""

import contextlib
import itertools
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plait import ArgumentRefused, Jobs, OptionError
from plait.jobs.protocol import Event, State
from plait.jobs.records import Filter
from plait.jobs.schedules import Schedule, Schedules
from plait.jobs.store import Store
from plait.jobs.testing import VirtualClock
from tests.contract.jobs.firing import declared
from tests.support.stores import Bench

BEGIN = datetime(2025, 10, 26, 0, 0, tzinfo=UTC).timestamp()  # an hour before clocks go back in Paris
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(BEGIN)


class Code:
    """A version of the code, as the workers of one store run it."""

    def __init__(self, store: Store) -> None:
        self.store, self.ran = store, []
        self.jobs = Jobs("memory://", store=store)

        @self.jobs.task(retries=3)
        def report(what: str) -> None:
            self.ran.append(what)

        self.report = report

    def schedule(self, when: Any, what: str, **options: Any) -> "Code":
        options = {"overlap": "allow", "name": "s"} | options
        self.jobs.schedule(when, options.pop("task", self.report), args=(what,), **options)
        return self

    def worker(self) -> Schedules:
        """What fires schedules in one worker."""
        return Schedules(self.jobs.schedules, self.store)


def live(store: Store) -> int:
    found = store.find(Filter(states=(State.WAITING, State.RUNNING, State.SCHEDULED), limit=1_000_000))
    return len(found)


# --- every time once ------------------------------------------------------------------------------------------------


def times(schedule: Schedule, begin: float, end: float) -> list[str]:
    found = []
    while (begin := schedule.calendar.after(begin)) <= end:
        found.append(f"{schedule.name} {begin:.0f}")
    return found


def fired(store: Store) -> list[str]:
    return sorted(str(job.key) for job in store.find(Filter(limit=1_000_000)))


def test_ten_workers_at_once_fire_each_time_once(store: Store, other: Store, clock: VirtualClock):
    schedules = declared()
    workers = [Schedules(schedules, one) for one in itertools.islice(itertools.cycle([store, other]), 10)]
    for worker in workers:
        worker.fire()
    steps, wrong = itertools.cycle([1.0, 59.0, 60.0, 300.0, 600.0]), []

    def work(worker: Schedules, start: threading.Barrier) -> None:
        try:
            start.wait(60)
            worker.fire()
        except BaseException as error:
            wrong.append(error)

    while clock.now < BEGIN + 2 * HOUR:
        clock.advance(next(steps))
        start = threading.Barrier(len(workers))
        threads = [threading.Thread(target=work, args=(worker, start)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
    assert fired(store) == sorted(time for each in schedules for time in times(each, BEGIN, clock.now))


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_processes_that_die_at_a_firing_leave_none_out(kind: str, tmp_path: Path, request: pytest.FixtureRequest):
    from tests.contract.jobs.firing import __file__ as script
    from tests.contract.jobs.firing import opened

    url = request.getfixturevalue("postgres") if kind == "postgres" else str(tmp_path / "jobs.db")
    end, command = BEGIN + 3 * HOUR, [sys.executable, script, url, str(BEGIN)]
    fates = [(0, ""), (0, ""), (1, "before"), (2, "after"), (3, "before")]  # each fires, or tries to, three times
    with contextlib.ExitStack() as stack:
        store = opened(url, VirtualClock(BEGIN))
        stack.callback(store.close)
        Schedules(declared(), store).fire()
        children = []
        for seed, (at, when) in enumerate(fates):
            said = [*command, str(end), str(seed), str(at), when]
            child = subprocess.Popen(said, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(child)
            stack.callback(child.kill)
            children.append(child)
        assert [child.stdout.readline() for child in children] == 5 * ["ready\n"]
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        assert [child.wait(180) for child in children] == [0, 0, -9, -9, -9]
        assert fired(store) == sorted(time for each in declared() for time in times(each, BEGIN, end))


@pytest.mark.parametrize(
    ("missed", "late", "count"), [("latest", 90, 1), ("all", 90, 10), ("none", 90, 0), ("none", 59, 1)]
)
def test_what_was_missed_while_no_worker_was_there(
    store: Store, clock: VirtualClock, missed: Any, late: float, count: int
):
    Code(store).schedule(120, "x", missed=missed).worker().fire()
    clock.advance(20 * MINUTE + late)
    Code(store).schedule(120, "x", missed=missed).worker().fire()
    assert live(store) == count


def test_a_month_of_minutes_comes_in_pieces(store: Store, clock: VirtualClock):
    code = Code(store).schedule(60, "x", missed="all", overlap="allow")
    worker = code.worker()
    worker.fire()
    clock.advance(2500 * MINUTE)
    waits = [worker.fire() for _ in range(4)]
    assert waits[:2] == [0.05, 0.05]
    assert live(store) == 2500


def test_a_worker_waits_until_the_next_time(store: Store, clock: VirtualClock):
    worker = Code(store).schedule(45, "x").schedule(30, "y", name="t").worker()
    assert worker.fire() == 30.0
    clock.advance(30)
    assert worker.fire() == 15.0
    assert live(store) == 1


def test_without_schedules_nothing_is_asked(store: Store):
    assert Code(store).worker().fire() is None


# --- overlap --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["waiting", "running", "retrying"])
def test_skip_enqueues_none_while_one_is_live(bench: Bench, state: str):
    code = Code(bench.store).schedule(60, "x", overlap="skip")
    worker = code.worker()
    worker.fire()
    bench.clock.advance(60)
    worker.fire()
    assert live(bench.store) == 1
    me = bench.worker()
    if state != "waiting":
        (job,) = bench.claim(me, task="report")
    if state == "retrying":
        bench.settle(me, job, Event.RETRY, delay=1000.0)
    for _ in range(3):
        bench.clock.advance(60)
        bench.store.beat(me)  # nobody looks for leases that have run out
        worker.fire()
    assert live(bench.store) == 1
    if state == "running":
        assert bench.settle(me, job)
        worker.fire()
        assert live(bench.store) == 0, "it is not made up for"
        bench.clock.advance(60)
        worker.fire()
        assert live(bench.store) == 1


def test_skip_and_the_users_own_unique_keys(bench: Bench):
    code = Code(bench.store).schedule(60, "x", overlap="skip")
    code.schedule(60, "y", overlap="skip", name="t")
    worker = code.worker()
    worker.fire()
    for text in ("s", "schedule s", "schedule:s", "t"):
        assert code.report.with_(unique=text).enqueue("mine").fresh
    bench.clock.advance(60)
    worker.fire()
    assert live(bench.store) == 6, "each schedule has its own"
    assert [bench.store.show(view.last_job).args for view in bench.store.schedules()] != [None, None]


@pytest.mark.parametrize("overlap", ["skip", "queue", "allow"])
def test_a_task_with_a_unique_key_keeps_it(bench: Bench, overlap: str):
    code = Code(bench.store)
    code.schedule(60, "x", task=code.report.with_(unique="sync"), overlap=overlap)
    worker = code.worker()
    worker.fire()
    mine = code.report.with_(unique="sync").enqueue("by hand")
    bench.clock.advance(60)
    worker.fire()
    assert live(bench.store) == 1
    mine.cancel()
    bench.clock.advance(60)
    worker.fire()
    assert not code.report.with_(unique="sync").enqueue("by hand").fresh


def test_queue_runs_them_one_after_the_other_and_allow_side_by_side(bench: Bench):
    code = Code(bench.store)
    code.schedule(60, "q", overlap="queue", name="queued").schedule(60, "a", overlap="allow", name="allowed")
    worker, me, rules = code.worker(), bench.worker(), code.report.spec.store_rules
    worker.fire()
    for _ in range(3):
        bench.clock.advance(60)
        bench.store.beat(me)
        worker.fire()
    code.report.enqueue("by hand")
    assert live(bench.store) == 7
    ran = []
    while claimed := bench.claim(me, 10, task="report", rules=rules):
        ran.append([bytes(job.args) for job in claimed])
        assert all(bench.settle(me, job) for job in claimed)
    assert [len(jobs) for jobs in ran] == [5, 1, 1], "one of those that are queued, and all others"
    assert ran[1] == ran[2]


def test_queue_is_what_all_goes_with(store: Store, clock: VirtualClock):
    code = Code(store).schedule(60, "x", missed="all", overlap=None)
    code.jobs.run_pending()
    clock.advance(HOUR)
    assert code.jobs.run_pending() == 60
    with pytest.raises(OptionError, match='"skip" would leave out'):
        code.schedule(60, "x", name="t", missed="all", overlap="skip")


# --- code that changes ----------------------------------------------------------------------------------------------


def live_with(code: dict[str, Schedules], clock: VirtualClock, seconds: float, step: float = 30.0) -> None:
    for _ in range(round(seconds / step)):
        clock.advance(step)
        for worker in code.values():
            worker.fire()


def enqueued(store: Store, code: Code) -> list[str]:
    """The arguments of what was enqueued, in order."""
    jobs = reversed(store.find(Filter(limit=10_000)))
    return [code.report.signature.decode(store.show(job.id).args)[0][0] for job in jobs]


def test_the_definition_declared_last_counts(store: Store, other: Store, clock: VirtualClock):
    old, new = Code(store).schedule("10 * * * *", "old"), Code(other).schedule("20 * * * *", "new")
    workers = {"old": old.worker()}
    live_with(workers, clock, 30 * MINUTE)
    workers["new"] = new.worker()
    live_with(workers, clock, 4 * HOUR)
    assert enqueued(store, old) == ["old"] + 4 * ["new"]


def test_the_old_code_takes_over_when_the_new_is_gone(store: Store, other: Store, clock: VirtualClock):
    old, new = Code(store).schedule("10 * * * *", "old"), Code(other).schedule("20 * * * *", "new")
    workers = {"old": old.worker(), "new": new.worker()}
    live_with(workers, clock, HOUR)
    del workers["new"]
    live_with(workers, clock, 3 * HOUR)
    assert enqueued(store, old) == ["new", "old", "old", "old"], "what the new one missed is made up for"
    workers["new"] = new.worker()
    live_with(workers, clock, 2 * HOUR)
    assert enqueued(store, old)[4:] == ["new", "new"]


def test_what_was_missed_is_made_up_for_though_the_definition_has_changed(store: Store, clock: VirtualClock):
    code = Code(store).schedule("10 * * * *", "old")
    code.worker().fire()
    clock.advance(15 * MINUTE)
    Code(store).schedule("20 * * * *", "new").worker().fire()
    assert enqueued(store, code) == ["new"]


def test_a_definition_that_changes_fires_no_time_again(bench: Bench):
    Code(bench.store).schedule(60, "x", overlap="skip").worker().fire()
    bench.clock.advance(60)
    Code(bench.store).schedule(60, "x", overlap="skip").worker().fire()
    me = bench.worker()
    (job,) = bench.claim(me, task="report")
    assert bench.settle(me, job)
    for missed in ("all", "none", "latest"):
        bench.clock.advance(-1)  # another machine's clock
        worker = Code(bench.store).schedule(60, "x", missed=missed).worker()
        worker.fire()
        bench.clock.advance(1)
        worker.fire()
    assert live(bench.store) == 0


def test_two_versions_flip_forth_and_back_without_leaving_a_time_out(store: Store, other: Store, clock: VirtualClock):
    """As during a rolling deploy in which workers of both are started again and again."""
    versions = [
        Code(store).schedule(60, "x", missed="all"),
        Code(other).schedule(timedelta(minutes=1), "x", missed="all", overlap="queue"),
    ]
    for at in range(60):
        clock.advance(30)
        versions[at % 2].worker().fire()
    assert live(store) == 30


def test_what_is_not_declared_any_more_rests(store: Store, clock: VirtualClock):
    code, without = Code(store).schedule(60, "x"), Code(store).schedule(HOUR, "y", name="t")
    code.worker().fire()
    live_with({"without": without.worker()}, clock, 30 * MINUTE)
    assert live(store) == 0
    assert [view.name for view in store.schedules()] == ["s", "t"], "it is remembered"
    code.worker().fire()
    assert live(store) == 1, "and what it missed is made up for, as far as missed= says"


def test_what_was_dropped_is_declared_anew_by_who_has_it(store: Store, clock: VirtualClock):
    worker = Code(store).schedule(60, "x").worker()
    worker.fire()
    assert store.drop_schedule("s")
    live_with({"": worker}, clock, 3 * MINUTE)
    assert live(store) == 2, "it begins when it is noticed"


# --- clocks that go wrong -------------------------------------------------------------------------------------------


def test_a_clock_that_goes_back_an_hour_fires_nothing_twice(store: Store, clock: VirtualClock):
    workers = {"": Code(store).schedule(60, "x").worker()}
    live_with(workers, clock, HOUR)
    clock.advance(-HOUR)
    live_with(workers, clock, 2 * HOUR)
    assert live(store) == 120


def test_a_clock_that_was_a_year_ahead_does_not_end_a_schedule(store: Store, clock: VirtualClock):
    workers = {"": Code(store).schedule(60, "x").worker()}
    clock.advance(365 * DAY)
    live_with(workers, clock, 2 * MINUTE)
    before = live(store)
    clock.advance(-365 * DAY)
    live_with(workers, clock, 3 * HOUR)
    assert live(store) > before + 60


def test_weekly_times_do_not_look_like_a_wrong_clock(store: Store, other: Store, clock: VirtualClock):
    codes = [Code(one).schedule("10 0 * * SUN", "x", name="weekly") for one in (store, other)]
    workers = {str(at): code.worker() for at, code in enumerate(codes)}
    for worker in workers.values():
        worker.fire()
    live_with(workers, clock, 20 * DAY, 600.0)
    assert live(store) == 3


# --- what users write -----------------------------------------------------------------------------------------------


def test_the_call_of_the_design(store: Store, clock: VirtualClock):
    code = Code(store)
    first = code.jobs.schedule("*/5 * * * *", code.report, args=("b.png",), tz="Europe/Paris", missed="latest")
    again = code.jobs.schedule("30 2 * * *", code.report, kwargs={"what": "night"}, tz="Europe/Paris", name="nightly")
    assert (first.name, again.name) == ("report", "nightly")
    code.jobs.run_pending()
    for _ in range(5 * 12):
        clock.advance(300)
        code.jobs.run_pending()
    assert code.ran.count("b.png") == 60, "through the hour that comes twice"
    assert code.ran.count("night") == 1


Say = Callable[[Code], object]
WRONG: list[tuple[Say, str]] = [
    (lambda code: code.schedule("0 9 * *", ""), "five fields"),
    (lambda code: code.schedule("*/30 * * * * *", ""), "seconds and years have no field"),
    (lambda code: code.schedule("@daily", ""), '@daily is written "0 0 * * *"'),
    (lambda code: code.schedule("61 * * * *", ""), "Bad minute"),
    (lambda code: code.schedule("0 0 31 2 *", ""), "Bad day-of-month"),
    (lambda code: code.schedule(0.5, ""), "at least a second"),
    (lambda code: code.schedule(60, "", tz="Europe/Paris"), "an interval has no time zone"),
    (lambda code: code.schedule("0 9 * * *", "", tz="Europe/Pari"), "Did you mean 'Europe/Paris'"),
    (lambda code: code.schedule("0 9 * * *", "", missed="some"), "'latest', 'all', 'none'"),
    (lambda code: code.schedule("0 9 * * *", "", overlap="some"), "'skip', 'queue', 'allow'"),
    (lambda code: code.schedule("0 9 * * *", "", name=""), "it takes a text"),
    (lambda code: code.schedule("0 9 * * *", "", name="a\0b"), "it takes a text"),
    (lambda code: code.schedule(60, "").schedule(60, ""), "of that name already"),
    (lambda code: code.schedule(60, "", task=print), "a task of this queue"),
    (lambda code: code.schedule(60, "", task=Code(code.store).report), "a task of this queue"),
    (lambda code: code.jobs.schedule(60, code.report, args="b.png"), "in a tuple"),
    (lambda code: code.jobs.schedule(60, code.report, args=5), "in a tuple"),
    (lambda code: code.jobs.schedule(60, code.report, kwargs=[1]), "in a dict"),
]


@pytest.mark.parametrize(("say", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_says_what_can(say: Say, message: str):
    jobs = Code(Jobs("memory://").store)
    with pytest.raises(OptionError) as caught:
        say(jobs)
    assert message in str(caught.value)


@pytest.mark.parametrize("args", [(), ("a", "b"), (1,)])
def test_arguments_that_do_not_fit_are_refused_when_it_is_declared(args: tuple[Any, ...]):
    code = Code(Jobs("memory://").store)
    with pytest.raises(ArgumentRefused):
        code.jobs.schedule(60, code.report, args=args)
    assert code.jobs.schedules == []
