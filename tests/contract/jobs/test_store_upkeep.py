"""Upkeep, schedules, and transactions in which a task does its work."""

import contextlib

import pytest

from plait.errors import ConnectionRefused, Stale
from plait.jobs.protocol import LEASE, Event, State
from plait.jobs.records import Draft, Fan
from tests.support.stores import STORED, Bench, outcome

# --- what is kept ----------------------------------------------------------------------------------------------------


def test_what_has_ended_is_kept_as_long_as_is_said(bench: Bench):
    worker, job, other = bench.worker(), bench.put(), bench.put()
    bench.run(worker, job, keep=10.0)
    bench.run(worker, other, event=Event.FAIL, keep=20.0)
    for passed, states in ((9.5, ["done", "failed"]), (0.5, ["", "failed"]), (10.0, ["", ""])):
        bench.clock.advance(passed)
        bench.store.upkeep()
        assert bench.states(job, other) == states
    assert bench.store.queues() == []


def test_what_was_cancelled_or_given_up_is_kept_for_a_week(bench: Bench):
    job = bench.put()
    bench.store.cancel([job])
    bench.clock.advance(7 * 86_400 - 1)
    bench.store.upkeep()
    assert bench.states(job) == ["cancelled"]
    bench.clock.advance(1)
    bench.store.upkeep()
    assert bench.states(job) == [""]


def test_parts_are_kept_until_what_comes_then_is_done(bench: Bench):
    worker = bench.worker()
    placed, group = bench.store.enqueue([Draft(task="t")] * 2, fan=Fan(total=2, then=Draft(task="then")))
    first, second = (its.id for its in placed)
    bench.run(worker, first, result=b"1", keep=0.0)
    for _ in range(3):
        bench.clock.advance(1000)
        bench.store.beat(worker)
        bench.store.upkeep()
    assert bench.states(first) == ["done"]
    worker = bench.worker()
    bench.run(worker, second, result=b"2", keep=0.0)
    bench.store.upkeep()
    (then,) = bench.claim(worker, task="then")
    bench.store.upkeep()
    assert [part.result for part in then.parts] == [b"1", b"2"]
    bench.settle(worker, then, Event.RETRY)
    bench.store.upkeep()
    (then,) = bench.claim(worker, task="then")
    assert [part.result for part in then.parts] == [b"1", b"2"]
    bench.settle(worker, then)
    for _ in range(3):
        bench.store.upkeep()
    assert bench.states(first, second) == ["", ""]
    assert bench.store.group(group) is None


def test_parts_are_kept_no_longer_than_what_comes_then_can_be_run_again(bench: Bench):
    worker = bench.worker()
    placed, group = bench.store.enqueue([Draft(task="t")], fan=Fan(total=1, then=Draft(task="then")))
    bench.run(worker, placed[0].id, keep=5.0)
    (then,) = bench.claim(worker, task="then")
    bench.settle(worker, then, Event.FAIL, keep=50.0)
    bench.clock.advance(49)
    bench.store.upkeep()
    assert bench.states(placed[0].id, then.id) == ["done", "failed"]
    bench.clock.advance(1)
    for _ in range(3):
        bench.store.upkeep()
    assert bench.states(placed[0].id, then.id) == ["", ""]
    assert bench.store.group(group) is None


def test_a_piece_of_upkeep_is_bounded_and_tells_that_there_is_more(bench: Bench):
    worker = bench.worker()
    placed, _ = bench.store.enqueue([Draft(task="t")] * 2500)
    claimed = bench.claim(worker, 2500)
    bench.store.turn(worker, [outcome(job, keep=1.0) for job in claimed])
    bench.clock.advance(2)
    for _ in range(4):
        if bench.store.upkeep() != 0.0:
            break
    assert bench.store.states([its.id for its in placed]) == {}


@pytest.mark.parametrize("store", STORED, indirect=True)
def test_unique_keys_are_forgotten_as_fast_as_jobs(bench: Bench):
    worker = bench.worker()
    bench.store.enqueue([Draft(task="t", unique=f"{at}", keep_unique=1.0) for at in range(2500)])
    claimed = bench.claim(worker, 2500)
    bench.store.turn(worker, [outcome(job, keep=0.0) for job in claimed])
    bench.clock.advance(2.0)
    while bench.store.upkeep() == 0.0:
        pass
    assert bench.store.read(lambda session: session.rows("SELECT count(*) FROM plait_uniq")) == [(0,)]


def test_upkeep_recovers_many_workers_at_once(bench: Bench):
    jobs = [bench.put() for _ in range(6)]
    for _ in range(3):
        bench.claim(bench.worker(), 2)
    bench.clock.advance(LEASE)
    bench.store.upkeep()
    assert bench.states(*jobs) == ["waiting"] * 6
    assert bench.store.workers() == []


# --- schedules -------------------------------------------------------------------------------------------------------


def test_a_schedule_is_declared_changed_and_dropped(bench: Bench):
    store, now = bench.store, bench.clock()
    view = store.put_schedule("s", "t", b"daily", now + 10)
    assert (view.name, view.task, view.definition, view.next_fire) == ("s", "t", b"daily", now + 10)
    assert (view.last_fire, view.last_job, view.seen) == (None, None, now)
    bench.clock.advance(5)
    view = store.put_schedule("s", "u", b"daily", now + 99)
    assert (view.next_fire, view.seen, view.task) == (now + 10, now + 5, "u"), "as it was"
    view = store.put_schedule("s", "u", b"hourly", now + 99)
    assert (view.next_fire, view.definition) == (now + 99, b"hourly")
    store.put_schedule("a", "t", b"x", 1.0)
    assert [each.name for each in store.schedules()] == ["a", "s"]
    assert store.drop_schedule("s")
    assert not store.drop_schedule("s")
    assert [each.name for each in store.schedules()] == ["a"]


def test_each_time_fires_once_whoever_is_first(bench: Bench, other):
    now = bench.clock()
    bench.store.put_schedule("s", "t", b"daily", now)
    placed = bench.store.fire("s", now, now + 60, [Draft(task="t"), Draft(task="t")])
    assert len(placed) == 2
    assert other.fire("s", now, now + 60, [Draft(task="t")]) is None
    assert bench.store.fire("s", now + 1, now + 60, [Draft(task="t")]) is None
    assert bench.store.fire("nobody's", now, now + 60, [Draft(task="t")]) is None
    (view,) = other.schedules()
    assert (view.next_fire, view.last_fire, view.last_job) == (now + 60, now, placed[-1].id)
    assert bench.store.queues()[0].counts == {"waiting": 2}
    assert other.fire("s", now + 60, now + 120, []) == []
    assert other.schedules()[0].last_job == placed[-1].id, "what submitted nothing has no job"


def test_what_a_schedule_submits_may_be_unique(bench: Bench):
    now, job = bench.clock(), bench.put(unique="u")
    bench.store.put_schedule("s", "t", b"daily", now)
    (placed,) = bench.store.fire("s", now, now + 60, [Draft(task="t", unique="u")])
    assert (placed.id, placed.fresh) == (job, False)


# --- transactions ----------------------------------------------------------------------------------------------------


def test_a_transaction_settles_its_job_when_it_is_finished(bench: Bench):
    worker = bench.worker()
    job = bench.put(then=(Draft(task="next"),), unique="u")
    (claimed,) = bench.claim(worker)
    with bench.store.transact(job, claimed.token) as transaction:
        transaction.finish(b"r", 60.0)
    shown = bench.store.show(job)
    assert (shown.state, shown.result) == (State.DONE, b"r")
    assert bench.put(unique="u") != job
    (link,) = bench.claim(worker, task="next")
    assert link.feed == b"r"
    assert not bench.settle(worker, claimed)


@pytest.mark.parametrize("store", STORED, indirect=True)
def test_what_was_worked_in_it_is_committed_with_it_or_not_at_all(bench: Bench):
    bench.store.write(lambda session: session.run("CREATE TABLE mine (value INTEGER)"))

    def values() -> list[int]:
        return [row[0] for row in bench.store.read(lambda session: session.rows("SELECT value FROM mine"))]

    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    with bench.store.transact(job, claimed.token) as transaction:
        transaction.connection.execute("INSERT INTO mine VALUES (1)")
    assert (values(), bench.states(job)) == ([], ["running"])
    with contextlib.suppress(ZeroDivisionError), bench.store.transact(job, claimed.token) as transaction:
        transaction.connection.execute("INSERT INTO mine VALUES (2)")
        raise ZeroDivisionError
    assert (values(), bench.states(job)) == ([], ["running"])
    with bench.store.transact(job, claimed.token) as transaction:
        transaction.connection.execute("INSERT INTO mine VALUES (3)")
        transaction.finish(b"r", 60.0)
    assert (values(), bench.states(job)) == ([3], ["done"])


def test_one_that_is_not_finished_leaves_the_job_as_it_is(bench: Bench):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    with bench.store.transact(job, claimed.token):
        pass
    with pytest.raises(ZeroDivisionError), bench.store.transact(job, claimed.token):
        raise ZeroDivisionError
    assert bench.states(job) == ["running"]
    assert bench.settle(worker, claimed)


def test_it_does_no_more_than_settle(bench: Bench):
    """Found by a random history: in memory it also had those wait whose time had come."""
    worker, job, later = bench.worker(), bench.put(), bench.put(delay=5.0)
    (claimed,) = bench.claim(worker)
    bench.clock.advance(10)
    with bench.store.transact(job, claimed.token) as transaction:
        transaction.finish(None, 60.0)
    assert bench.states(job, later) == ["done", "scheduled"]


def test_the_fence_is_checked_when_it_is_entered(bench: Bench):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    for number, token in ((job, claimed.token + 1), (job, claimed.token - 1), (99_999, 1)):
        with pytest.raises(Stale), bench.store.transact(number, token):
            pytest.fail("it was entered")
    bench.store.recover(worker)
    with pytest.raises(Stale), bench.store.transact(job, claimed.token):
        pytest.fail("it was entered")
    assert bench.store.beat(bench.worker()), "the store is as usable as before"


# --- the caller's connection -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [object(), "a string", 3])
def test_a_connection_that_is_none_is_refused(bench: Bench, what: object):
    with pytest.raises(ConnectionRefused):
        bench.store.enqueue([Draft(task="t")], connection=what)
    assert bench.store.queues() == []


def test_a_connection_of_another_driver_is_refused(bench: Bench):
    import sqlite3

    connection = sqlite3.connect(":memory:")
    try:
        with pytest.raises(ConnectionRefused):
            bench.store.enqueue([Draft(task="t")], connection=connection)
    finally:
        connection.close()
