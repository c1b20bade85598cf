"""What people do to jobs: cancel them, have them run again, pause a queue."""

import pytest

from plait.jobs.protocol import Event, State
from plait.jobs.records import Draft, Fan
from tests.support.stores import Bench


@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_cancelling_what_does_not_run_ends_it(bench: Bench, delay: float):
    job = bench.put(delay=delay)
    assert bench.store.cancel([job]) == {job: State.CANCELLED}
    shown = bench.store.show(job)
    assert (shown.state, shown.finished, shown.worker) == (State.CANCELLED, bench.clock(), None)
    assert "before it ran" in shown.error
    bench.clock.advance(10)
    assert bench.ids(bench.worker()) == []


def test_cancelling_what_runs_leaves_it_to_its_worker(bench: Bench):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    assert bench.store.cancel([job]) == {job: State.RUNNING}
    assert bench.store.unwanted(worker) == [(job, claimed.token)]
    assert bench.store.cancel([job]) == {job: State.RUNNING}
    assert bench.settle(worker, claimed, Event.STOP)
    assert bench.states(job) == ["cancelled"]
    assert bench.store.unwanted(worker) == []


def test_one_that_is_done_before_it_was_stopped_is_done(bench: Bench):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    bench.store.cancel([job])
    assert bench.settle(worker, claimed, result=b"r")
    assert bench.states(job) == ["done"]


@pytest.mark.parametrize("event", [Event.RETRY, Event.SNOOZE, Event.RELEASE])
def test_a_cancelled_job_does_not_come_back(bench: Bench, event: Event):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    bench.store.cancel([job])
    assert bench.settle(worker, claimed, event, delay=1.0)
    assert bench.states(job) == ["cancelled"]
    bench.clock.advance(5)
    assert bench.ids(worker) == []


def test_what_has_ended_stays_as_it_is_when_cancelled(bench: Bench):
    worker, job, failed = bench.worker(), bench.put(), bench.put()
    bench.run(worker, job, result=b"r")
    bench.run(worker, failed, event=Event.FAIL)
    assert bench.store.cancel([job, failed]) == {job: State.DONE, failed: State.FAILED}
    assert bench.store.show(job).result == b"r"


def test_cancelling_is_ending_for_keys_groups_and_chains(bench: Bench):
    job = bench.put(unique="u", then=(Draft(task="next"),))
    placed, group = bench.store.enqueue([Draft(task="t")] * 2, fan=Fan(total=2, then=Draft(task="then")))
    bench.store.cancel([job, *(its.id for its in placed)])
    assert bench.put(unique="u") != job
    assert bench.store.group(group) == (2, 0)
    worker = bench.worker()
    (then,) = bench.claim(worker, task="then")
    assert [part.state for part in then.parts] == [State.CANCELLED] * 2
    assert bench.ids(worker, task="next") == []


def test_cancelling_many_together_counts_a_group_once(bench: Bench):
    placed, _ = bench.store.enqueue([Draft(task="t")] * 20, fan=Fan(total=20, then=Draft(task="then")))
    bench.store.cancel([its.id for its in placed] * 2)
    assert len(bench.claim(bench.worker(), 5, task="then")) == 1


# --- again -----------------------------------------------------------------------------------------------------------


def test_a_failed_or_cancelled_job_runs_again_counted_anew(bench: Bench):
    worker, job, other = bench.worker(), bench.put(args=b"x", key="k"), bench.put(delay=9.0)
    bench.run(worker, job, event=Event.RETRY, error="once")
    (claimed,) = bench.claim(worker)
    assert bench.settle(worker, claimed, Event.FAIL, error="twice", traceback="T")
    bench.store.cancel([other])
    assert sorted(bench.store.redo([job, other])) == [job, other]
    for each in (job, other):
        shown = bench.store.show(each)
        assert (shown.state, shown.attempt, shown.crashes, shown.error) == (State.WAITING, 0, 0, "")
        assert (shown.started, shown.finished, shown.run_at) == (None, None, None)
    assert bench.store.ended([job, other]) == []
    again = {each.id: each for each in bench.claim(worker, 2)}
    assert (again[job].attempt, again[job].args, again[job].key) == (1, b"x", "k")
    assert again[job].token > claimed.token, "a token is above all that the job had"


@pytest.mark.parametrize("state", ["waiting", "scheduled", "running", "done"])
def test_others_are_not_run_again(bench: Bench, state: str):
    worker, job = bench.worker(), bench.put(delay=5.0 if state == "scheduled" else 0.0)
    if state == "done":
        bench.run(worker, job)
    elif state == "running":
        bench.claim(worker)
    assert bench.store.redo([job, 99_999]) == []
    assert bench.states(job) == [state]


def test_one_whose_key_another_has_by_now_stays_as_it_is(bench: Bench):
    worker, job = bench.worker(), bench.put(unique="u")
    bench.run(worker, job, event=Event.FAIL, error="E")
    second = bench.put(unique="u")
    assert bench.store.redo([job]) == []
    assert bench.store.show(job).error == "E"
    bench.run(worker, second)
    assert bench.store.redo([job]) == [job]
    assert bench.put(unique="u") == job, "it has its key again"


def test_a_key_that_was_kept_for_a_time_is_the_jobs_as_long_as_it_lives_again(bench: Bench):
    worker, job = bench.worker(), bench.put(unique="u", keep_unique=10.0)
    bench.run(worker, job, event=Event.FAIL)
    bench.clock.advance(5)
    bench.store.redo([job])
    bench.clock.advance(100)
    bench.store.upkeep()
    assert bench.put(unique="u") == job


def test_a_job_that_is_run_again_does_not_block_what_was_cancelled_before(bench: Bench):
    worker, job = bench.worker(), bench.put()
    bench.claim(worker)
    bench.store.cancel([job])
    assert bench.store.leave(worker) == 0
    assert bench.states(job) == ["cancelled"]
    bench.store.redo([job])
    worker = bench.worker()
    assert bench.ids(worker) == [job]
    assert bench.store.unwanted(worker) == [], "the wish to cancel it was that of its earlier life"


def test_a_part_runs_again_as_a_part_while_its_group_is_open(bench: Bench):
    worker = bench.worker()
    placed, group = bench.store.enqueue([Draft(task="t")] * 2, fan=Fan(total=2, then=Draft(task="then")))
    bench.run(worker, placed[0].id, event=Event.FAIL)
    assert bench.store.group(group) == (2, 1)
    bench.store.redo([placed[0].id])
    assert bench.store.group(group) == (2, 2)
    for claimed in bench.claim(worker, 2):
        assert bench.settle(worker, claimed, result=b"r")
    (then,) = bench.claim(worker, task="then")
    assert [part.result for part in then.parts] == [b"r", b"r"]


def test_a_part_whose_group_went_on_runs_again_by_itself(bench: Bench):
    worker = bench.worker()
    placed, group = bench.store.enqueue([Draft(task="t")] * 2, fan=Fan(total=2, then=Draft(task="then")))
    bench.run(worker, placed[0].id, event=Event.FAIL, error="E")
    bench.run(worker, placed[1].id, result=b"1")
    bench.store.redo([placed[0].id])
    assert bench.store.show(placed[0].id).group == 0
    assert bench.store.group(group) == (2, 0)
    bench.run(worker, placed[0].id, result=b"late")
    (then,) = bench.claim(worker, 9, task="then")
    assert [part.state for part in then.parts] == [State.FAILED, State.DONE]
    assert "run again by itself" in then.parts[0].error


def test_what_a_group_goes_on_with_can_be_run_again_with_its_parts(bench: Bench):
    """The parts are kept for a shorter time than a failed job: its results must not be gone when it is run again."""
    worker = bench.worker()
    placed, _ = bench.store.enqueue([Draft(task="t")] * 2, fan=Fan(total=2, then=Draft(task="then")))
    for its in placed:
        bench.run(worker, its.id, result=b"r", keep=10.0)
    (then,) = bench.claim(worker, task="then")
    assert bench.settle(worker, then, Event.FAIL, keep=1000.0)
    bench.clock.advance(100)
    for _ in range(3):
        bench.store.upkeep()
    assert bench.store.redo([then.id]) == [then.id]
    (again,) = bench.claim(bench.worker(), task="then")
    assert [part.result for part in again.parts] == [b"r", b"r"]


# --- paused ----------------------------------------------------------------------------------------------------------


def test_nobody_claims_jobs_of_a_paused_queue(bench: Bench):
    worker = bench.worker()
    job, other = bench.put(queue="q"), bench.put(queue="r")
    (running,) = bench.claim(worker, queues=("q",))
    assert running.id == job
    late = bench.put(queue="q")
    bench.store.pause("q")
    bench.store.pause("q")
    assert bench.ids(worker, 9) == [other]
    assert bench.settle(worker, running), "those that run go on"
    bench.store.resume("q")
    assert bench.ids(worker, 9) == [late]
    bench.store.resume("q")
