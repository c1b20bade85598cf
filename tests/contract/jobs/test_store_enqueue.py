"""Storing jobs: all or none, at their time, one for each unique key."""

import contextlib

import pytest

from plait.jobs.protocol import Event, State
from plait.jobs.records import Draft, Fan
from tests.support.stores import Bench


def test_every_draft_gets_a_job_of_its_own_with_what_it_says(bench: Bench):
    drafts = [Draft(task="a", args=b"1", queue="q", priority=7, key="k"), Draft(task="b", args=b"2")]
    placed, group = bench.store.enqueue(drafts)
    assert [its.fresh for its in placed] == [True, True]
    assert len({its.id for its in placed}) == 2
    assert group == 0
    first, second = (bench.store.show(its.id) for its in placed)
    assert (first.task, first.args, first.queue, first.priority, first.key) == ("a", b"1", "q", 7, "k")
    assert (second.task, second.args, second.queue, second.priority, second.key) == ("b", b"2", "default", 0, None)
    assert first.created == second.created == bench.clock()


def test_nothing_to_store_is_no_error(bench: Bench):
    assert bench.store.enqueue([]) == ([], 0)


def test_ids_ascend(bench: Bench):
    ids = [its.id for its in bench.store.enqueue([Draft(task="t")] * 50)[0]] + [bench.put()]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("many", [2, 40])
def test_all_are_stored_or_none(bench: Bench, many: int):
    good, impossible = Draft(task="t", unique="u", key="k"), Draft(task="t", priority=2**70)
    with contextlib.suppress(Exception):  # what it is called is each driver's own; memory takes it
        bench.store.enqueue([good] * (many - 1) + [impossible], fan=Fan(total=many))
    assert sum(sum(view.counts.values()) for view in bench.store.queues()) in (0, many)
    assert bench.store.enqueue([good])[0][0].fresh


def test_many_at_once_are_as_single_ones(bench: Bench):
    drafts = [Draft(task="t", args=str(n).encode(), key=f"k{n % 3}", gates=("g",), delay=n % 2) for n in range(500)]
    placed, _ = bench.store.enqueue(drafts)
    assert len({its.id for its in placed}) == 500
    for n in (0, 1, 499):
        shown = bench.store.show(placed[n].id)
        assert (shown.args, shown.key) == (str(n).encode(), f"k{n % 3}")
        assert shown.state is (State.SCHEDULED if n % 2 else State.WAITING)


# --- when ------------------------------------------------------------------------------------------------------------


def test_a_draft_whose_time_has_come_is_waiting_at_once(bench: Bench):
    jobs = [bench.put(), bench.put(at=bench.clock()), bench.put(at=1.0), bench.put(delay=0.0)]
    assert bench.states(*jobs) == ["waiting"] * 4
    assert [bench.store.show(job).run_at for job in jobs] == [None] * 4


@pytest.mark.parametrize("said", [{"delay": 10.0}, {"in": 10.0}], ids=["delay", "at"])
def test_a_later_one_comes_at_its_time_and_not_before(bench: Bench, said: dict[str, float]):
    job = bench.put(delay=10.0) if "delay" in said else bench.put(at=bench.clock() + 10.0)
    worker = bench.worker()
    assert bench.states(job) == ["scheduled"]
    assert bench.store.show(job).run_at == bench.clock() + 10.0
    bench.clock.advance(9.5)
    assert bench.ids(worker) == []
    bench.clock.advance(0.5)
    assert bench.ids(worker) == [job]


def test_of_time_and_delay_the_later_counts(bench: Bench):
    now = bench.clock()
    assert bench.store.show(bench.put(at=now + 5, delay=9.0)).run_at == now + 9
    assert bench.store.show(bench.put(at=now + 9, delay=5.0)).run_at == now + 9


def test_those_whose_time_has_come_wait_without_being_claimed(bench: Bench):
    job = bench.put(delay=10.0)
    bench.clock.advance(10)
    assert bench.ids(bench.worker(), task="another") == []
    assert bench.states(job) == ["waiting"]


# --- unique ----------------------------------------------------------------------------------------------------------


def test_a_live_job_stands_for_one_with_the_same_key(bench: Bench):
    first = bench.put(unique="u")
    placed, _ = bench.store.enqueue([Draft(task="t", unique="u"), Draft(task="other", unique="u")])
    assert (placed[0].id, placed[0].fresh) == (first, False)
    assert placed[1].fresh, "a key is one of its task"
    assert bench.store.show(first).unique == "u"


def test_a_key_holds_within_one_call(bench: Bench):
    placed, _ = bench.store.enqueue([Draft(task="t", unique="u")] * 3 + [Draft(task="t", unique="v")])
    assert [its.fresh for its in placed] == [True, False, False, True]
    assert {its.id for its in placed[:3]} == {placed[0].id}
    assert bench.store.queues()[0].counts == {"waiting": 2}


@pytest.mark.parametrize("state", ["scheduled", "waiting", "running"])
def test_a_key_is_taken_in_every_live_state(bench: Bench, state: str):
    first = bench.put(unique="u", delay=5.0 if state == "scheduled" else 0.0)
    if state == "running":
        bench.claim(bench.worker())
    assert bench.states(first) == [state]
    assert bench.put(unique="u") == first


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL, Event.STOP])
def test_a_key_is_free_when_its_job_has_ended(bench: Bench, event: Event):
    worker, first = bench.worker(), bench.put(unique="u")
    bench.run(worker, first, event=event)
    assert bench.put(unique="u") != first


@pytest.mark.parametrize("event", [Event.RETRY, Event.SNOOZE, Event.RELEASE])
def test_a_key_stays_taken_while_its_job_comes_back(bench: Bench, event: Event):
    worker, first = bench.worker(), bench.put(unique="u")
    bench.run(worker, first, event=event, delay=5.0)
    assert bench.put(unique="u") == first


def test_a_key_is_kept_after_the_end_for_as_long_as_is_said(bench: Bench):
    worker, first = bench.worker(), bench.put(unique="u", keep_unique=10.0)
    bench.clock.advance(100)  # counts from the end
    bench.store.beat(worker)
    bench.run(worker, first, keep=0.0)
    bench.clock.advance(9.5)
    placed = bench.store.enqueue([Draft(task="t", unique="u", keep_unique=10.0)])[0][0]
    assert (placed.id, placed.fresh) == (first, False)
    bench.store.upkeep()
    assert bench.put(unique="u") == first
    bench.clock.advance(0.5)
    assert bench.put(unique="u") != first


def test_a_kept_key_is_free_without_upkeep_and_with(bench: Bench):
    worker = bench.worker()
    for unique in ("u", "v"):
        bench.run(worker, bench.put(unique=unique, keep_unique=10.0))
    bench.clock.advance(10)
    assert bench.store.enqueue([Draft(task="t", unique="u")])[0][0].fresh
    bench.store.upkeep()
    assert bench.store.enqueue([Draft(task="t", unique="v")])[0][0].fresh
    assert not bench.store.enqueue([Draft(task="t", unique="u")])[0][0].fresh, "upkeep has freed a live job's key"


# --- groups ----------------------------------------------------------------------------------------------------------


def test_parts_of_a_group_are_stored_whatever_their_key(bench: Bench):
    first = bench.put(unique="u")
    placed, group = bench.store.enqueue([Draft(task="t", unique="u")] * 2, fan=Fan(total=2))
    assert all(its.fresh for its in placed)
    assert len({first, *(its.id for its in placed)}) == 3
    assert bench.store.group(group) == (2, 2)
    assert bench.put(unique="u") == first, "parts do not take the key from whom it has"


def test_a_group_of_none_goes_on_at_once(bench: Bench):
    placed, group = bench.store.enqueue([], fan=Fan(total=0, then=Draft(task="then")))
    assert placed == []
    assert bench.store.group(group) == (0, 0)
    (then,) = bench.claim(bench.worker(), task="then")
    assert then.parts == ()


def test_an_unknown_group_is_none(bench: Bench):
    assert bench.store.group(12_345) is None
