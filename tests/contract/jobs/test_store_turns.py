"""A worker's turn: what it may settle, and which jobs it gets."""

import msgspec
import pytest

from plait.jobs.protocol import FENCED, Event, State
from plait.jobs.records import Claimed, Draft, Fan, Want
from tests.support.stores import Bench, outcome

AFTER = {
    Event.SUCCEED: "done",
    Event.FAIL: "failed",
    Event.STOP: "cancelled",
    Event.RETRY: "scheduled",
    Event.SNOOZE: "scheduled",
    Event.RELEASE: "waiting",
}
EVENTS = sorted(FENCED)


def to_come(job: Claimed) -> Claimed:
    """The same with a token that nobody has been given yet."""
    return msgspec.structs.replace(job, token=job.token + 1)


# --- settling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS)
def test_an_outcome_counts_with_the_token_of_the_last_claim(bench: Bench, event: Event):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    assert bench.settle(worker, claimed, event, delay=5.0, error="E", result=b"r")
    assert bench.states(job) == [AFTER[event]]
    assert not bench.settle(worker, claimed, event), "it was settled"
    assert bench.states(job) == [AFTER[event]]


@pytest.mark.parametrize("event", EVENTS)
def test_one_with_a_stale_token_is_refused_and_changes_nothing(bench: Bench, event: Event):
    zombie, worker, job = bench.worker(), bench.worker(), bench.put(then=(Draft(task="next"),))
    (stale,) = bench.claim(zombie)
    bench.store.recover(zombie)
    (claimed,) = bench.claim(worker, alone=True)
    before = bench.store.show(job)
    assert claimed.token > stale.token
    assert not bench.settle(zombie, stale, event, error="zombie", result=b"zombie")
    assert bench.store.show(job) == before
    assert bench.settle(worker, claimed, result=b"r")
    assert bench.store.show(job).result == b"r"
    assert bench.ids(worker, 9, task="next") != []


@pytest.mark.parametrize("event", EVENTS)
def test_one_with_a_token_to_come_is_refused(bench: Bench, event: Event):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    assert not bench.settle(worker, to_come(claimed), event)
    assert bench.states(job) == ["running"]


def test_of_many_outcomes_only_those_are_refused_that_do_not_count(bench: Bench):
    worker = bench.worker()
    jobs = [bench.put(key=f"k{n % 2}") for n in range(30)]
    claimed = {job.id: job for job in bench.claim(worker, 30)}
    for at in (3, 17, 29):
        claimed[jobs[at]] = to_come(claimed[jobs[at]])
    outcomes = [outcome(claimed[job], result=str(at).encode()) for at, job in enumerate(jobs)]
    outcomes.append(outcomes[0])
    assert bench.store.turn(worker, outcomes).refused == (3, 17, 29, 30)
    ends = {end.id: end.result for end in bench.store.ended(jobs)}
    assert ends == {job: str(at).encode() for at, job in enumerate(jobs) if at not in (3, 17, 29)}


def test_the_same_job_twice_in_one_turn_counts_once(bench: Bench):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    both = [outcome(claimed, result=b"1"), outcome(claimed, Event.FAIL, error="E")]
    assert bench.store.turn(worker, both).refused == (1,)
    assert bench.store.show(job).result == b"1"


@pytest.mark.parametrize(("event", "spent"), [(Event.RETRY, 1), (Event.SNOOZE, 0), (Event.RELEASE, 0)])
def test_only_a_retry_is_held_against_a_job(bench: Bench, event: Event, spent: int):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    bench.settle(worker, claimed, event, delay=2.0, error="E")
    shown = bench.store.show(job)
    assert (shown.attempt, shown.crashes, shown.error, shown.worker) == (spent, 0, "E", None)
    bench.clock.advance(2)
    (again,) = bench.claim(worker)
    assert again.attempt == spent + 1
    assert again.token > claimed.token


def test_what_comes_back_later_comes_at_its_time(bench: Bench):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    turn = bench.store.turn(worker, [outcome(claimed, Event.RETRY, delay=7.0)], [Want("t", 1)])
    assert (turn.claimed, turn.due) == ((), 7.0)
    bench.clock.advance(6.5)
    turn = bench.store.turn(worker, (), [Want("t", 1)])
    assert (turn.claimed, turn.due) == ((), 0.5)
    bench.clock.advance(0.5)
    assert bench.ids(worker) == [job]


def test_what_is_kept_for_no_time_is_forgotten_at_once(bench: Bench):
    worker, job = bench.worker(), bench.put()
    bench.run(worker, job, result=b"r", keep=0.0)
    assert bench.states(job) == [""]
    assert bench.store.ended([job]) == []
    assert bench.store.show(job) is None


@pytest.mark.parametrize("keep", [0.0, 60.0])
def test_many_at_once_are_kept_as_each_says(bench: Bench, keep: float):
    worker = bench.worker()
    jobs = [bench.put() for _ in range(40)]
    claimed = bench.claim(worker, 40)
    bench.store.turn(worker, [outcome(job, keep=keep, result=b"r") for job in claimed])
    assert len(bench.store.ended(jobs)) == (40 if keep else 0)


def test_a_part_of_a_group_is_kept_while_the_group_needs_it(bench: Bench):
    worker = bench.worker()
    placed, _ = bench.store.enqueue([Draft(task="t")] * 2, fan=Fan(total=2, then=Draft(task="then")))
    bench.run(worker, placed[0].id, result=b"r", keep=0.0)
    assert bench.states(placed[0].id) == ["done"]


def test_turns_of_a_worker_that_is_not_known_neither_settle_nor_claim(bench: Bench):
    worker, job, other = bench.worker(), bench.put(), bench.put()
    (claimed,) = bench.claim(worker)
    turn = bench.store.turn(99_999, [outcome(claimed)], [Want("t", 1)])
    assert (turn.refused, turn.claimed) == ((0,), ())
    assert bench.states(job, other) == ["running", "waiting"]
    assert bench.settle(worker, claimed)


# --- claiming --------------------------------------------------------------------------------------------------------


def test_a_claimed_job_is_the_workers_with_all_that_it_needs(bench: Bench):
    worker = bench.worker()
    job = bench.put(args=b"x", queue="q", key="k")
    bench.clock.advance(3)
    (claimed,) = bench.claim(worker)
    assert (claimed.id, claimed.task, claimed.args, claimed.queue, claimed.key) == (job, "t", b"x", "q", "k")
    assert (claimed.attempt, claimed.crashes, claimed.created) == (1, 0, bench.clock() - 3)
    assert (claimed.feed, claimed.parts) == (None, None)
    shown = bench.store.show(job)
    assert (shown.state, shown.worker, shown.started) == (State.RUNNING, worker, bench.clock())
    assert bench.store.running(worker) == [(job, claimed.token)]


def test_nobody_gets_a_job_twice(bench: Bench, other):
    first, second = bench.worker(), other.register(bench.store.workers()[0].info)
    jobs = [bench.put() for _ in range(10)]
    got = bench.ids(first, 6) + [job.id for job in other.turn(second, (), [Want("t", 6)]).claimed]
    assert sorted(got) == jobs


def test_only_wanted_tasks_and_as_many_as_are_wanted(bench: Bench):
    worker = bench.worker()
    a, b = [bench.put("a") for _ in range(3)], [bench.put("b") for _ in range(3)]
    bench.put("c")
    turn = bench.store.turn(worker, (), [Want("a", 2), Want("b", 1), Want("nobody's", 5), Want("c", 0)])
    assert sorted(job.id for job in turn.claimed) == [*a[:2], b[0]]
    assert turn.more
    turn = bench.store.turn(worker, (), [Want("a", 9), Want("b", 9)])
    assert sorted(job.id for job in turn.claimed) == [a[2], *b[1:]]
    assert not turn.more
    assert turn.due is None


def test_the_order_is_priority_then_first_come(bench: Bench):
    worker = bench.worker()
    low, middle, high = bench.put(priority=-5), bench.put(), bench.put(priority=100)
    later, highest = bench.put(), bench.put(priority=100)
    assert [bench.ids(worker)[0] for _ in range(5)] == [high, highest, middle, later, low]


def test_most_bounds_all_together_and_higher_priorities_come_first(bench: Bench):
    worker = bench.worker()
    for task in ("a", "b"):
        for priority in (0, 9, -9):
            bench.put(task, priority=priority)
    wants = [Want("a", 9), Want("b", 9)]
    got = [bench.store.turn(worker, (), wants, most=2) for _ in range(4)]
    assert [sorted(job.task for job in turn.claimed) for turn in got] == [["a", "b"]] * 3 + [[]]
    ranks = [bench.store.show(job.id).priority for turn in got for job in turn.claimed]
    assert ranks == [9, 9, 0, 0, -9, -9]
    assert [turn.more for turn in got[:2]] == [True, True]


def test_tasks_of_one_priority_take_turns(bench: Bench):
    """A worker whose places are few must not serve the first task alone, however much of it there is."""
    worker = bench.worker()
    for task in ("a", "b", "c"):
        for _ in range(12):
            bench.put(task)
    got: list[str] = []
    wants = [Want(task, 9) for task in ("a", "b", "c")]
    for _ in range(12):
        claimed = bench.store.turn(worker, (), wants, most=1).claimed
        got += [job.task for job in claimed]
    assert {task: got.count(task) for task in "abc"} == {"a": 4, "b": 4, "c": 4}


def test_queues_of_one_task_take_turns(bench: Bench):
    worker = bench.worker()
    for queue in ("q", "r"):
        for _ in range(10):
            bench.put(queue=queue)
    got = [bench.claim(worker)[0].queue for _ in range(10)]
    assert (got.count("q"), got.count("r")) == (5, 5)


def test_queues_that_are_named_and_no_others(bench: Bench):
    worker = bench.worker()
    q, r, s = (bench.put(queue=queue) for queue in ("q", "r", "s"))
    assert bench.ids(worker, 9, queues=("nobody's",)) == []
    assert sorted(bench.ids(worker, 9, queues=("q", "s"))) == [q, s]
    assert bench.ids(worker, 9) == [r]


def test_keys_take_turns_however_many_jobs_one_of_them_has(bench: Bench):
    worker = bench.worker()
    for _ in range(100):
        bench.put(key="big")
    few = [bench.put(key=key) for key in ("small", "tiny", "small")]
    got = bench.ids(worker, 6)
    assert set(few) <= set(got), "they wait behind no more than one job of each other key a round"


def test_a_key_that_comes_late_is_neither_behind_nor_before_the_others(bench: Bench):
    worker = bench.worker()
    for _ in range(50):
        bench.put(key="a")
    assert len(bench.claim(worker, 20)) == 20
    late = [bench.put(key="b") for _ in range(20)]
    keys = [job.key for job in bench.claim(worker, 20)]
    assert len(late) == 20
    assert 9 <= keys.count("b") <= 11, "half of what is claimed from then on, not all of it"


def test_jobs_without_a_key_come_at_the_time_of_their_lane(bench: Bench):
    worker = bench.worker()
    for _ in range(10):
        bench.put(key="a")
    bench.claim(worker, 5)
    free = bench.put()
    assert free in bench.ids(worker, 2)


def test_fairness_is_that_of_one_lane(bench: Bench):
    worker = bench.worker()
    for _ in range(5):
        bench.put(key="a")
    first = bench.put(key="a", priority=1)
    assert bench.ids(worker) == [first]


def test_due_is_the_time_of_the_next_that_is_scheduled(bench: Bench):
    worker = bench.worker()
    bench.put(delay=30.0)
    soon = bench.put(delay=10.0)
    assert bench.store.turn(worker, (), [Want("t", 1)]).due == 10.0
    assert bench.store.turn(worker).due == 10.0, "though nothing is wanted"
    bench.store.cancel([soon])
    assert bench.store.turn(worker).due == 30.0


def test_a_worker_without_a_lease_claims_nothing(bench: Bench):
    worker, job = bench.worker(), bench.put()
    bench.clock.advance(15)
    assert bench.ids(worker) == []
    assert bench.store.beat(worker)
    assert bench.ids(worker) == [job]
    bench.store.leave(worker)
    assert not bench.store.beat(worker)
    assert bench.ids(worker) == []
    assert bench.ids(99_999) == []
