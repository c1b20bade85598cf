"""Groups and chains: what follows from the end of a job is there when the end is."""

import pytest

from plait.jobs.protocol import Event, State
from plait.jobs.records import Draft, Fan, Want
from tests.support.stores import Bench, outcome


def grouped(bench: Bench, count: int = 3, **said: object) -> tuple[list[int], int]:
    """The parts of a group that goes on with `then`, and its number."""
    drafts = [Draft(task="t", args=str(n).encode(), **said) for n in range(count)]
    placed, group = bench.store.enqueue(drafts, fan=Fan(total=count, then=Draft(task="then", on_error="skip")))
    return [its.id for its in placed], group


def test_what_comes_then_is_there_when_the_last_part_has_ended(bench: Bench):
    worker = bench.worker()
    jobs, group = grouped(bench)
    for at, job in enumerate(jobs):
        assert bench.store.group(group) == (3, 3 - at)
        assert bench.ids(worker, task="then") == []
        (claimed,) = bench.claim(worker)
        turn = bench.store.turn(worker, [outcome(claimed, result=str(at).encode())])
        assert claimed.id == job
    assert turn.refused == ()
    assert bench.store.group(group) == (3, 0)
    assert [view.task for view in bench.store.queues()] == ["t", "then"]
    (then,) = bench.claim(worker, 9, task="then")
    assert [part.result for part in then.parts] == [b"0", b"1", b"2"]
    assert then.on_error == "skip"


def test_it_can_be_claimed_in_the_turn_that_ends_the_last_part(bench: Bench):
    worker = bench.worker()
    grouped(bench)
    claimed = bench.claim(worker, 3)
    turn = bench.store.turn(worker, [outcome(job) for job in claimed], [Want("then", 1)])
    assert [job.task for job in turn.claimed] == ["then"]


def test_results_are_in_the_order_of_the_parts_not_of_their_ends(bench: Bench):
    worker = bench.worker()
    jobs, _ = grouped(bench, 5)
    claimed = bench.claim(worker, 5)
    for job in claimed[::-1]:
        bench.settle(worker, job, result=job.args)
    (then,) = bench.claim(worker, task="then")
    assert [part.result for part in then.parts] == [b"0", b"1", b"2", b"3", b"4"]
    assert [part.id for part in then.parts] == jobs


def test_parts_that_failed_are_told_as_such(bench: Bench):
    worker = bench.worker()
    jobs, _ = grouped(bench)
    claimed = {job.id: job for job in bench.claim(worker, 2)}
    bench.settle(worker, claimed[jobs[0]], Event.FAIL, error="E: no")
    bench.settle(worker, claimed[jobs[1]], result=b"1")
    bench.store.cancel([jobs[2]])
    (then,) = bench.claim(worker, task="then")
    assert [part.state for part in then.parts] == [State.FAILED, State.DONE, State.CANCELLED]
    assert then.parts[0].error == "E: no"


def test_parts_that_crashes_ended_count(bench: Bench):
    jobs, group = grouped(bench, 1)
    for _ in range(3):
        worker = bench.worker()
        (claimed,) = bench.claim(worker) or bench.claim(worker, alone=True)
        bench.store.begin(claimed.id, claimed.token)
        bench.store.recover(worker)
    assert bench.states(*jobs) == ["failed"]
    assert bench.store.group(group) == (1, 0)
    (then,) = bench.claim(bench.worker(), task="then")
    assert then.parts[0].state is State.FAILED


@pytest.mark.parametrize("event", [Event.RETRY, Event.SNOOZE, Event.RELEASE])
def test_one_that_comes_back_has_not_ended(bench: Bench, event: Event):
    worker = bench.worker()
    jobs, group = grouped(bench, 1)
    bench.run(worker, jobs[0], event=event)
    assert bench.store.group(group) == (1, 1)


def test_a_group_without_anything_then(bench: Bench):
    worker = bench.worker()
    placed, group = bench.store.enqueue([Draft(task="t")] * 2, fan=Fan(total=2))
    for its in placed:
        bench.run(worker, its.id, result=b"r")
    assert bench.store.group(group) == (2, 0)
    assert len(bench.store.ended([its.id for its in placed])) == 2


def test_a_key_that_another_has_stands_for_what_comes_then_too(bench: Bench):
    worker = bench.worker()
    standing = bench.put("then", unique="u")
    then = Draft(task="then", unique="u")
    placed, _ = bench.store.enqueue([Draft(task="t")], fan=Fan(total=1, then=then))
    bench.run(worker, placed[0].id, keep=5.0)
    assert bench.ids(worker, 9, task="then") == [standing]
    bench.clock.advance(10)
    bench.store.upkeep()
    assert bench.states(placed[0].id) == [""], "nobody will ever ask for the parts: they are not kept for ever"


def test_groups_inside_of_one_turn_are_counted_each(bench: Bench):
    worker = bench.worker()
    one, two = grouped(bench, 20), grouped(bench, 20)
    claimed = bench.claim(worker, 40)
    bench.store.turn(worker, [outcome(job, result=job.args) for job in claimed])
    assert (bench.store.group(one[1]), bench.store.group(two[1])) == ((20, 0), (20, 0))
    both = bench.claim(worker, 9, task="then")
    assert [len(then.parts) for then in both] == [20, 20]
    assert {part.id for then in both for part in then.parts} == {*one[0], *two[0]}


# --- chains ----------------------------------------------------------------------------------------------------------


def test_a_chain_goes_on_with_the_result(bench: Bench):
    worker = bench.worker()
    bench.put("a", then=(Draft(task="b", args=b"B"), Draft(task="c", args=b"C")))
    (a,) = bench.claim(worker, task="a")
    assert a.feed is None
    bench.settle(worker, a, result=b"of a")
    (b,) = bench.claim(worker, task="b")
    assert (b.feed, b.args) == (b"of a", b"B")
    bench.settle(worker, b, result=b"of b")
    (c,) = bench.claim(worker, task="c")
    assert (c.feed, c.args) == (b"of b", b"C")
    bench.settle(worker, c, result=b"of c")
    assert [view.counts for view in bench.store.queues()] == [{"done": 1}] * 3


@pytest.mark.parametrize("event", [Event.FAIL, Event.STOP])
def test_it_goes_on_only_after_success(bench: Bench, event: Event):
    worker, job = bench.worker(), bench.put(then=(Draft(task="next"),))
    bench.run(worker, job, event=event)
    assert bench.ids(worker, task="next") == []
    bench.store.redo([job])
    bench.run(worker, job)
    assert len(bench.ids(worker, task="next")) == 1, "it is a chain when it is run again, too"


def test_a_link_has_a_delay_and_a_key_of_its_own(bench: Bench):
    worker = bench.worker()
    standing = bench.put("next", unique="u")
    job = bench.put(then=(Draft(task="next", unique="u"),))
    bench.run(worker, job)
    assert bench.ids(worker, 9, task="next") == [standing]
    bench.run(worker, bench.put(then=(Draft(task="later", delay=5.0),)))
    assert bench.store.turn(worker).due == 5.0


def test_a_chain_is_one_part_of_its_group(bench: Bench):
    worker = bench.worker()
    drafts = [Draft(task="t", then=(Draft(task="next"),)), Draft(task="t")]
    placed, group = bench.store.enqueue(drafts, fan=Fan(total=2, then=Draft(task="then")))
    for its in placed:
        bench.run(worker, its.id, result=b"first", keep=0.0)
    assert bench.states(placed[0].id) == [""], "what only the chain needed is forgotten at once"
    assert bench.store.group(group) == (2, 1)
    (link,) = bench.claim(worker, task="next")
    assert bench.store.show(link.id).group == group
    bench.settle(worker, link, result=b"last")
    (then,) = bench.claim(worker, task="then")
    assert [part.result for part in then.parts] == [b"last", b"first"]


def test_a_link_in_a_group_is_stored_whatever_its_key_says(bench: Bench):
    """Else the group would wait for ever for a part that nobody runs."""
    worker = bench.worker()
    bench.put("next", unique="u", delay=99.0)
    draft = Draft(task="t", then=(Draft(task="next", unique="u"),))
    placed, group = bench.store.enqueue([draft], fan=Fan(total=1, then=Draft(task="then")))
    bench.run(worker, placed[0].id)
    (link,) = bench.claim(worker, task="next")
    bench.settle(worker, link, result=b"r")
    assert bench.store.group(group) == (1, 0)
    assert len(bench.ids(worker, task="then")) == 1


def test_a_chain_that_breaks_inside_of_a_group_is_a_part_that_failed(bench: Bench):
    worker = bench.worker()
    draft = Draft(task="t", then=(Draft(task="next"), Draft(task="never")))
    placed, group = bench.store.enqueue([draft], fan=Fan(total=1, then=Draft(task="then")))
    bench.run(worker, placed[0].id, result=b"r")
    (link,) = bench.claim(worker, task="next")
    bench.settle(worker, link, Event.FAIL, error="E")
    assert bench.store.group(group) == (1, 0)
    (then,) = bench.claim(worker, task="then")
    assert [(part.state, part.error) for part in then.parts] == [(State.FAILED, "E")]


def test_what_comes_then_may_be_a_chain(bench: Bench):
    worker = bench.worker()
    then = Draft(task="then", then=(Draft(task="after"),))
    placed, _ = bench.store.enqueue([Draft(task="t")], fan=Fan(total=1, then=then))
    bench.run(worker, placed[0].id, result=b"r")
    (claimed,) = bench.claim(worker, task="then")
    bench.settle(worker, claimed, result=b"joined")
    (after,) = bench.claim(worker, task="after")
    assert (after.feed, after.parts) == (b"joined", None)
