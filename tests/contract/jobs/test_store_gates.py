"""Limits and rates that all workers together keep."""

import pytest

from plait.jobs.protocol import Event
from plait.jobs.records import Filter, Rule, Want
from tests.support.stores import Bench

ALL = (Rule("t/limit", cap=2),)
EACH = (Rule("t/limit", cap=1, keyed=0),)
PACE = (Rule("t/rate", interval=10.0, burst=2.0),)
EACH_PACE = (Rule("t/rate", interval=10.0, keyed=0),)


def held(bench: Bench) -> dict[int, str]:
    return {each.id: each.held for each in bench.store.find(Filter()) if each.held is not None}


# --- limits ----------------------------------------------------------------------------------------------------------


def test_a_limit_holds_over_all_workers_and_turns(bench: Bench):
    workers = [bench.worker() for _ in range(3)]
    jobs = [bench.put() for _ in range(6)]
    claimed = [job for worker in workers for job in bench.claim(worker, 9, rules=ALL)]
    assert [job.id for job in claimed] == jobs[:2]
    assert bench.settle(workers[0], claimed[0])
    assert [len(bench.claim(worker, 9, rules=ALL)) for worker in workers] == [1, 0, 0]


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL, Event.STOP, Event.RETRY, Event.SNOOZE, Event.RELEASE])
def test_a_place_is_free_when_a_job_runs_no_longer(bench: Bench, event: Event):
    worker = bench.worker()
    first, second = bench.put(gates=("g",)), bench.put(gates=("g",))
    (claimed,) = bench.claim(worker, 9, rules=EACH)
    assert claimed.id == first
    assert bench.ids(worker, 9, rules=EACH) == []
    bench.settle(worker, claimed, event, delay=60.0, keep=0.0)
    assert bench.ids(worker, 9, rules=EACH) == ([first] if event is Event.RELEASE else [second])


def test_each_key_has_a_limit_of_its_own(bench: Bench):
    worker = bench.worker()
    a, b, c = [[bench.put(gates=(key,)) for _ in range(3)] for key in "abc"]
    assert sorted(bench.ids(worker, 9, rules=EACH)) == [a[0], b[0], c[0]]
    assert set(held(bench).values()) == {"t/limit/a", "t/limit/b", "t/limit/c"}


def test_a_held_job_is_out_of_the_way_of_others(bench: Bench):
    worker = bench.worker()
    blocked = [bench.put(gates=("full",)) for _ in range(200)]
    free = bench.put(gates=("free",))
    assert bench.ids(worker, rules=EACH) == blocked[:1]
    got: list[int] = []
    for _ in range(100):
        turn = bench.store.turn(worker, (), [Want("t", 1, EACH)])
        got += [job.id for job in turn.claimed]
        if not turn.more:
            break
    assert got == [free], "as long as more may be left, it is told"


def test_a_job_comes_back_to_its_place_when_there_is_room(bench: Bench):
    worker = bench.worker()
    first, second, third = [bench.put(gates=("g",)) for _ in range(3)]
    (claimed,) = bench.claim(worker, 9, rules=EACH)
    assert set(held(bench)) == {second, third}
    bench.settle(worker, claimed)
    assert set(held(bench)) == {third}, "as many as there is room for"
    assert bench.ids(worker, 9, rules=EACH) == [second]
    assert first == claimed.id


def test_of_those_that_are_held_the_higher_priority_comes_back_first(bench: Bench):
    worker = bench.worker()
    (running,) = [bench.put(gates=("g",))]
    (claimed,) = bench.claim(worker, rules=EACH)
    low, high, middle = (bench.put(gates=("g",), priority=priority) for priority in (-5, 9, 0))
    assert bench.ids(worker, 9, rules=EACH) == []
    assert set(held(bench)) == {low, high, middle}
    order = []
    for _ in range(3):
        bench.settle(worker, claimed)
        (claimed,) = bench.claim(worker, 9, rules=EACH)
        order.append(claimed.id)
    assert order == [high, middle, low]
    assert running not in order


def test_a_place_that_is_free_is_not_lost_on_a_cancelled_job(bench: Bench):
    worker = bench.worker()
    _, second, third = [bench.put(gates=("g",)) for _ in range(3)]
    (claimed,) = bench.claim(worker, 9, rules=EACH)
    bench.store.cancel([second])
    bench.settle(worker, claimed)
    assert bench.ids(worker, 9, rules=EACH) == [third]


def test_a_held_job_that_is_run_again_has_to_pass_anew(bench: Bench):
    worker = bench.worker()
    _, second = [bench.put(gates=("g",)) for _ in range(2)]
    (claimed,) = bench.claim(worker, 9, rules=EACH)
    bench.store.cancel([second])
    bench.store.redo([second])
    assert held(bench) == {}
    assert bench.ids(worker, 9, rules=EACH) == []
    bench.settle(worker, claimed)
    assert bench.ids(worker, 9, rules=EACH) == [second]


def test_a_limit_that_is_raised_lets_held_jobs_through(bench: Bench):
    worker = bench.worker()
    jobs = [bench.put(gates=("g",)) for _ in range(4)]
    assert bench.ids(worker, 9, rules=EACH) == jobs[:1]
    wider = (Rule("t/limit", cap=3, keyed=0),)
    got: list[int] = []
    for _ in range(10):
        bench.store.upkeep()
        got += bench.ids(worker, 9, rules=wider)
    assert got == jobs[1:3]


def test_a_rule_that_is_gone_lets_held_jobs_through(bench: Bench):
    worker = bench.worker()
    jobs = [bench.put(gates=("g",)) for _ in range(4)]
    assert bench.ids(worker, 9, rules=EACH) == jobs[:1]
    got: list[int] = []
    for _ in range(10):
        bench.store.upkeep()
        got += bench.ids(worker, 9)
    assert got == jobs[1:]


def test_a_rule_that_is_gone_lets_them_through_by_many(bench: Bench):
    """Else a thousand of them would take as many upkeeps."""
    worker = bench.worker()
    for _ in range(200):
        bench.put(gates=("k",))
    (claimed,) = bench.claim(worker, rules=EACH)
    while bench.store.turn(worker, (), [Want("t", 200, EACH)]).more:
        pass
    assert bench.settle(worker, claimed)
    through = 0
    for _ in range(5):
        bench.store.upkeep()
        through += len(bench.claim(worker, 200))
    assert through == 199


def test_a_limit_that_is_lowered_counts_those_that_run(bench: Bench):
    worker = bench.worker()
    for _ in range(4):
        bench.put(gates=("g",))
    wide = (Rule("t/limit", cap=3, keyed=0),)
    claimed = bench.claim(worker, 3, rules=wide)
    assert bench.ids(worker, 9, rules=EACH) == []
    for job in claimed[:2]:
        bench.settle(worker, job)
        assert bench.ids(worker, 9, rules=EACH) == []
    bench.settle(worker, claimed[2])
    assert len(bench.ids(worker, 9, rules=EACH)) == 1


def test_a_job_without_the_key_of_a_rule_passes(bench: Bench):
    worker = bench.worker()
    jobs = [bench.put() for _ in range(3)]
    assert bench.ids(worker, 9, rules=EACH) == jobs


def test_suspects_count_and_are_counted(bench: Bench):
    lost = bench.worker()
    first, second = bench.put(gates=("g",)), bench.put(gates=("g",))
    bench.claim(lost, rules=EACH)
    bench.store.recover(lost)
    worker = bench.worker()
    (claimed,) = bench.claim(worker, 9, rules=EACH)
    assert claimed.id == second
    assert bench.ids(worker, 9, rules=EACH, alone=True) == []
    bench.settle(worker, claimed)
    assert bench.ids(worker, 9, rules=EACH, alone=True) == [first]


# --- rates -----------------------------------------------------------------------------------------------------------


def test_a_rate_lets_its_burst_through_and_then_one_an_interval(bench: Bench):
    worker = bench.worker()
    for _ in range(5):
        bench.put()
    turn = bench.store.turn(worker, (), [Want("t", 9, PACE)])
    assert len(turn.claimed) == 2
    turn = bench.store.turn(worker, (), [Want("t", 9, PACE)])
    assert (turn.claimed, turn.due) == ((), 10.0)
    for _ in range(2):
        bench.clock.advance(9.5)
        bench.store.beat(worker)
        assert bench.ids(worker, 9, rules=PACE) == []
        bench.clock.advance(0.5)
        assert len(bench.ids(worker, 9, rules=PACE)) == 1


def test_an_idle_rate_does_not_gather_more_than_its_burst(bench: Bench):
    worker = bench.worker()
    for _ in range(9):
        bench.put()
    bench.claim(worker, 1, rules=PACE)
    bench.clock.advance(1000)
    bench.store.beat(worker)
    assert len(bench.ids(worker, 9, rules=PACE)) == 2


def test_no_window_has_more_than_a_rate_allows(bench: Bench):
    """burst + rate * seconds, in every window, whatever the steps of time."""
    rule = (Rule("t/rate", interval=3.0, burst=2.0, keyed=0),)
    worker = bench.worker()
    for _ in range(60):
        bench.put(gates=("g",))
    starts: list[float] = []
    for step in (0.4, 1.7, 3.0, 0.1, 8.0, 0.9, 2.9, 3.1, 0.2, 5.5) * 3:
        bench.clock.advance(step)
        bench.store.beat(worker)
        bench.store.upkeep()
        starts += [bench.clock()] * len(bench.ids(worker, 9, rules=rule))
    assert len(starts) > 20
    for at, first in enumerate(starts):
        for to in range(at, len(starts)):
            assert to - at + 1 <= 2.0 + (starts[to] - first) / 3.0 + 1e-6


def test_each_key_has_a_rate_of_its_own_and_held_jobs_come_back_in_time(bench: Bench):
    worker = bench.worker()
    a, b = [[bench.put(gates=(key,)) for _ in range(2)] for key in "ab"]
    assert sorted(bench.ids(worker, 9, rules=EACH_PACE)) == [a[0], b[0]]
    assert set(held(bench)) == {a[1], b[1]}
    soon = bench.store.upkeep()
    assert soon is None or soon <= 10.0
    bench.clock.advance(10)
    bench.store.beat(worker)
    bench.store.upkeep()
    assert held(bench) == {}
    assert sorted(bench.ids(worker, 9, rules=EACH_PACE)) == [a[1], b[1]]


def test_a_rate_that_stops_a_job_tells_when_it_opens(bench: Bench):
    worker = bench.worker()
    for _ in range(3):
        bench.put(gates=("g",))
    bench.claim(worker, 1, rules=EACH_PACE)
    bench.clock.advance(4)
    assert bench.store.turn(worker, (), [Want("t", 9, EACH_PACE)]).due == 6.0


# --- several at once -------------------------------------------------------------------------------------------------


def test_a_job_passes_all_its_gates_or_none(bench: Bench):
    rules = (Rule("t/rate", interval=10.0, keyed=0), Rule("t/limit", cap=1, keyed=1))
    worker = bench.worker()
    one = bench.put(gates=("a", "x"))
    bench.put(gates=("b", "x"))
    (claimed,) = bench.claim(worker, 9, rules=rules)
    assert claimed.id == one
    bench.settle(worker, claimed)
    assert len(bench.ids(worker, 9, rules=rules)) == 1, "being stopped by the limit has not used up the rate"


def test_a_gate_of_the_whole_task_stops_all_without_holding_each(bench: Bench):
    rules = (*ALL, *EACH)
    worker = bench.worker()
    for key in "abcd":
        bench.put(gates=(key,))
    claimed = bench.claim(worker, 9, rules=rules)
    assert len(claimed) == 2
    assert bench.ids(worker, 9, rules=rules) == []
    assert held(bench) == {}
    bench.settle(worker, claimed[0])
    assert len(bench.ids(worker, 9, rules=rules)) == 1


def test_one_tasks_gates_do_not_stop_another(bench: Bench):
    worker = bench.worker()
    for task in ("a", "b"):
        for _ in range(3):
            bench.put(task)
    wants = [Want("a", 9, (Rule("a/limit", cap=1),)), Want("b", 9)]
    tasks = [job.task for job in bench.store.turn(worker, (), wants).claimed]
    assert (tasks.count("a"), tasks.count("b")) == (1, 3)


def test_a_held_job_of_a_paused_queue_waits_for_both(bench: Bench):
    worker = bench.worker()
    first, second = bench.put(gates=("g",), queue="q"), bench.put(gates=("g",), queue="q")
    (claimed,) = bench.claim(worker, 9, rules=EACH)
    bench.store.pause("q")
    bench.settle(worker, claimed)
    assert bench.ids(worker, 9, rules=EACH) == []
    bench.store.resume("q")
    assert bench.ids(worker, 9, rules=EACH) == [second]
    assert first == claimed.id


def test_a_place_goes_to_a_job_that_may_run_before_those_of_paused_queues(bench: Bench):
    """Else each of them would have to come back first: one an upkeep, as long as others have places at that gate."""
    two = (Rule("t/limit", cap=2, keyed=0),)
    worker = bench.worker()
    for _ in range(2):
        bench.put(gates=("g",), queue="q")
    claimed = bench.claim(worker, 2, rules=two)
    paused = [bench.put(gates=("g",), queue="q", priority=priority) for priority in (9, 0, 0)]
    other = bench.put(gates=("g",), queue="other")
    assert bench.ids(worker, 9, rules=two) == []
    assert set(held(bench)) == {*paused, other}
    bench.store.pause("q")
    bench.settle(worker, claimed[0])
    (its,) = bench.claim(worker, 9, rules=two)
    assert its.id == other
    bench.store.resume("q")
    bench.settle(worker, claimed[1])
    bench.settle(worker, its)
    assert bench.ids(worker, 9, rules=two) == paused[:2]
