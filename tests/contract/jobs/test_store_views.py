"""What can be known of jobs: their states, their ends, all that is known, and lists."""

import pytest

from plait.jobs.protocol import Event, State
from plait.jobs.records import Draft, Filter, Note, Rule
from tests.support.stores import Bench

KEYED = (Rule("t/limit", cap=1, keyed=0),)


def test_states_tells_those_that_are_known(bench: Bench):
    worker = bench.worker()
    done, failed, running, waiting, later = [bench.put() for _ in range(4)] + [bench.put(delay=1.0)]
    bench.run(worker, done)
    bench.run(worker, failed, event=Event.FAIL)
    bench.claim(worker)
    assert bench.store.states([done, failed, running, waiting, later, 99_999]) == {
        done: State.DONE,
        failed: State.FAILED,
        running: State.RUNNING,
        waiting: State.WAITING,
        later: State.SCHEDULED,
    }
    assert bench.store.states([]) == {}


def test_ended_tells_what_those_came_to_that_have_ended(bench: Bench):
    worker = bench.worker()
    done, failed, live = bench.put(), bench.put(), bench.put()
    bench.run(worker, done, result=b"42")
    bench.run(worker, failed, event=Event.FAIL, error="E: no", traceback="Traceback ...")
    ends = {end.id: end for end in bench.store.ended([done, failed, live, 99_999])}
    assert set(ends) == {done, failed}
    assert (ends[done].state, ends[done].result, ends[done].error) == (State.DONE, b"42", "")
    assert (ends[failed].state, ends[failed].result) == (State.FAILED, None)
    assert (ends[failed].error, ends[failed].traceback) == ("E: no", "Traceback ...")
    assert bench.store.ended([]) == []


def test_many_ids_at_once(bench: Bench):
    placed, _ = bench.store.enqueue([Draft(task="t")] * 3000)
    ids = [its.id for its in placed]
    assert len(bench.store.states(ids)) == 3000
    assert set(bench.store.cancel(ids).values()) == {State.CANCELLED}
    assert len(bench.store.ended(ids)) == 3000


@pytest.mark.parametrize("number", [0, -1, 99_999, 2**63, 10**30])
def test_a_job_that_is_not_known(bench: Bench, number: int):
    bench.put()
    assert bench.store.show(number) is None
    assert bench.store.states([number]) == {}
    assert bench.store.ended([number]) == []
    assert bench.store.cancel([number]) == {}
    assert bench.store.redo([number]) == []
    assert bench.store.group(number) is None


def test_show_tells_all_of_a_running_job(bench: Bench):
    worker = bench.worker()
    job = bench.put(args=b"x", queue="q", priority=3, key="k", unique="u")
    bench.clock.advance(5)
    (claimed,) = bench.claim(worker)
    bench.store.note([Note(job, claimed.token, 0.5, "half of it")])
    shown = bench.store.show(job)
    assert (shown.state, shown.attempt, shown.worker) == (State.RUNNING, 1, worker)
    assert (shown.created, shown.started, shown.finished) == (bench.clock() - 5, bench.clock(), None)
    assert (shown.progress, shown.note) == (0.5, "half of it")
    assert (shown.key, shown.unique, shown.queue, shown.priority, shown.args) == ("k", "u", "q", 3, b"x")
    assert not shown.stopping
    bench.store.cancel([job])
    assert bench.store.show(job).stopping


def test_show_tells_what_a_failed_job_was_asked_and_a_done_one_came_to(bench: Bench):
    worker = bench.worker()
    failed, done = bench.put(args=b"x", priority=1), bench.put(args=b"y")
    for job, event in ((failed, Event.FAIL), (done, Event.SUCCEED)):
        bench.run(worker, job, event=event, error="E" * (event is Event.FAIL), result=b"r", traceback="T")
    shown = bench.store.show(failed)
    assert (shown.args, shown.error, shown.traceback, shown.finished) == (b"x", "E", "T", bench.clock())
    shown = bench.store.show(done)
    assert (shown.args, shown.result, shown.progress, shown.worker) == (None, b"r", None, None)


def test_a_held_job_is_waiting_for_everybody_outside(bench: Bench):
    worker = bench.worker()
    first, second = bench.put(gates=("g",)), bench.put(gates=("g",))
    assert bench.ids(worker, 2, rules=KEYED) == [first]
    shown = bench.store.show(second)
    assert (shown.state, shown.held) == (State.WAITING, "t/limit/g")
    assert bench.states(second) == ["waiting"]
    assert [each.id for each in bench.store.find(Filter(states=(State.WAITING,)))] == [second]
    assert bench.store.queues()[0].counts == {"waiting": 1, "running": 1}
    assert bench.store.cancel([second]) == {second: State.CANCELLED}


# --- lists -----------------------------------------------------------------------------------------------------------


def test_find_has_the_newest_first_without_arguments_and_results(bench: Bench):
    worker = bench.worker()
    jobs = [bench.put(args=b"secret") for _ in range(4)]
    bench.run(worker, jobs[0], result=b"secret")
    found = bench.store.find(Filter())
    assert [each.id for each in found] == jobs[::-1]
    assert {each.args for each in found} | {each.result for each in found} == {None}


def test_find_goes_on_by_key(bench: Bench):
    worker = bench.worker()
    jobs = [bench.put() for _ in range(10)]
    for job in jobs[:5]:
        bench.run(worker, job)
    seen: list[int] = []
    before = None
    while page := bench.store.find(Filter(limit=3, before=before)):
        assert len(page) <= 3
        seen += [each.id for each in page]
        before = page[-1].id
    assert seen == jobs[::-1]


def test_find_has_those_that_fit_all_that_is_said(bench: Bench):
    worker = bench.worker()
    one = bench.put("a", queue="q", key="k")
    two = bench.put("a", queue="r", key="k")
    three = bench.put("b", queue="q", key="l")
    bench.run(worker, bench.put("c"), event=Event.FAIL)

    def found(**said: object) -> list[int]:
        return [each.id for each in bench.store.find(Filter(**said))]

    assert found(task="a") == [two, one]
    assert found(queue="q") == [three, one]
    assert found(key="k") == [two, one]
    assert found(task="a", queue="q", key="k") == [one]
    assert found(task="nobody's") == []
    assert len(found(states=(State.FAILED,))) == 1
    assert len(found(states=(State.FAILED, State.WAITING))) == 4
    assert found(states=(State.DONE, State.RUNNING)) == []
    assert found(states=(State.WAITING,), task="a", before=two) == [one]


def test_queues_counts_by_task_queue_and_state(bench: Bench):
    worker = bench.worker()
    bench.run(worker, bench.put("a"))
    for said in ({}, {"delay": 5.0}, {"queue": "slow"}, {"priority": 5}):
        bench.put("a", **said)
        bench.clock.advance(1)
    bench.put("b")
    bench.store.pause("slow")
    views = {(view.queue, view.task): view for view in bench.store.queues()}
    assert set(views) == {("default", "a"), ("default", "b"), ("slow", "a")}
    assert views["default", "a"].counts == {"done": 1, "waiting": 2, "scheduled": 1}
    assert views["default", "a"].wait == 4.0, "the oldest that is waiting"
    assert views["default", "b"].wait == 0.0
    assert (views["slow", "a"].paused, views["default", "a"].paused) == (True, False)


def test_a_paused_queue_is_told_though_it_is_empty(bench: Bench):
    bench.store.pause("empty")
    (view,) = bench.store.queues()
    assert (view.queue, view.paused, view.counts) == ("empty", True, {})
