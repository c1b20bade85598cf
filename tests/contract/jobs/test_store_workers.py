"""Workers: their lease, what becomes of their jobs when they end, and of those that kill whoever runs them."""

import contextlib

import pytest

from plait.jobs.protocol import CRASHES, LEASE, Event, State
from plait.jobs.records import Claimed, Draft, Filter, Note, Rule, WorkerInfo
from tests.support.stores import Bench


def crash(bench: Bench, *, begun: bool) -> Claimed:
    """A worker that takes the next job with it."""
    worker = bench.worker()
    (claimed,) = bench.claim(worker) or bench.claim(worker, alone=True)
    if begun:
        assert bench.store.begin(claimed.id, claimed.token)
    assert bench.store.recover(worker) == 1
    return claimed


# --- the lease -------------------------------------------------------------------------------------------------------


def test_a_worker_is_registered_with_what_it_says_and_a_lease(bench: Bench):
    info = WorkerInfo(host="h", pid=7, queues=("q",), tasks=("a", "b"), slots=3)
    worker = bench.store.register(info)
    bench.clock.advance(5)
    bench.put()
    bench.claim(worker)
    (view,) = bench.store.workers()
    assert (view.id, view.info, view.running) == (worker, info, 1)
    assert (view.started, view.lease) == (bench.clock() - 5, LEASE - 5)


def test_no_two_workers_ever_have_the_same_id(bench: Bench, other):
    ids = []
    for store in (bench.store, other) * 3:
        ids.append(store.register(WorkerInfo(host="h", pid=1)))
        if len(ids) % 2:
            bench.store.leave(ids[-1])
    assert len(set(ids)) == 6


def test_a_beat_renews_the_lease(bench: Bench):
    worker = bench.worker()
    bench.clock.advance(10)
    assert bench.store.beat(worker)
    assert bench.store.workers()[0].lease == LEASE
    bench.clock.advance(10)
    assert bench.store.workers()[0].lease == LEASE - 10


def test_a_worker_whose_lease_ran_out_is_recovered_by_upkeep_and_has_none_any_more(bench: Bench):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    bench.clock.advance(LEASE - 0.5)
    bench.store.upkeep()
    assert bench.states(job) == ["running"]
    bench.clock.advance(0.5)
    bench.store.upkeep()
    assert bench.states(job) == ["waiting"]
    assert bench.store.workers() == []
    assert not bench.store.beat(worker)
    assert not bench.settle(worker, claimed)


def test_what_was_settled_before_its_worker_was_lost_stays_so(bench: Bench):
    worker = bench.worker()
    done, running = bench.put(), bench.put()
    bench.run(worker, done, result=b"r")
    bench.claim(worker)
    bench.store.recover(worker)
    assert bench.states(done, running) == ["done", "waiting"]


# --- leaving ---------------------------------------------------------------------------------------------------------


def test_who_leaves_hands_back_what_it_has(bench: Bench):
    worker, other = bench.worker(), bench.worker()
    jobs = [bench.put(args=b"x") for _ in range(3)]
    mine = bench.claim(worker, 2)
    bench.claim(other)
    bench.store.note([Note(jobs[0], mine[0].token, 0.5, "half")])
    assert bench.store.leave(worker) == 2
    assert bench.states(*jobs) == ["waiting", "waiting", "running"]
    shown = bench.store.show(jobs[0])
    assert (shown.attempt, shown.crashes, shown.worker, shown.progress, shown.note) == (0, 0, None, None, "")
    assert [view.id for view in bench.store.workers()] == [other]
    assert not bench.settle(worker, mine[0])
    assert [job.attempt for job in bench.claim(other, 2)] == [1, 1], "it is claimed as any other, not as a suspect"
    assert bench.store.leave(worker) == 0


def test_what_is_unwanted_is_stopped_when_its_worker_leaves(bench: Bench):
    worker, job, other = bench.worker(), bench.put(unique="u"), bench.put()
    bench.claim(worker, 2)
    bench.store.cancel([job])
    assert bench.store.leave(worker) == 1
    assert bench.states(job, other) == ["cancelled", "waiting"]
    assert bench.put(unique="u") != job


# --- crashes ---------------------------------------------------------------------------------------------------------


def test_a_lost_workers_jobs_crash(bench: Bench):
    worker, other = bench.worker(), bench.worker()
    jobs = [bench.put() for _ in range(3)]
    bench.claim(worker, 2)
    bench.claim(other)
    assert bench.store.recover(worker) == 2
    assert bench.states(*jobs) == ["waiting", "waiting", "running"]
    for job in jobs[:2]:
        shown = bench.store.show(job)
        assert (shown.attempt, shown.crashes, shown.worker) == (0, 1, None)
    assert bench.store.recover(worker) == 0
    assert bench.store.recover(99_999) == 0


def test_suspects_are_claimed_only_by_who_wants_them(bench: Bench):
    job = bench.put()
    crash(bench, begun=False)
    worker, fresh = bench.worker(), bench.put()
    assert bench.ids(worker, 9) == [fresh]
    (claimed,) = bench.claim(worker, 9, alone=True)
    assert (claimed.id, claimed.crashes, claimed.attempt) == (job, 1, 1)
    assert bench.settle(worker, claimed)


def test_a_job_that_kills_its_workers_is_given_up_after_the_third(bench: Bench):
    job = bench.put(args=b"x")
    tokens = [crash(bench, begun=True).token for _ in range(CRASHES)]
    assert tokens == sorted(set(tokens))
    shown = bench.store.show(job)
    assert (shown.state, shown.crashes, shown.args) == (State.FAILED, CRASHES, b"x")
    assert "3 times" in shown.error
    assert bench.store.redo([job]) == [job], "it can be run again all the same"
    assert bench.ids(bench.worker()) == [job]


def test_who_only_sat_beside_is_never_given_up(bench: Bench):
    job = bench.put()
    for _ in range(3 * CRASHES):
        crash(bench, begun=False)
    assert bench.states(job) == ["waiting"]
    assert bench.store.show(job).crashes == 1


def test_begin_counts_for_one_claim_only(bench: Bench):
    bench.put()
    crash(bench, begun=False)
    crash(bench, begun=True)
    crash(bench, begun=False)
    assert bench.store.find(Filter())[0].crashes == 2


def test_begin_tells_who_has_lost_the_job(bench: Bench):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    assert bench.store.begin(job, claimed.token)
    assert not bench.store.begin(job, claimed.token + 1)
    assert not bench.store.begin(99_999, 1)
    bench.store.recover(worker)
    assert not bench.store.begin(job, claimed.token)


def test_an_unwanted_job_is_stopped_when_its_worker_is_lost(bench: Bench):
    worker, job = bench.worker(), bench.put(unique="u")
    bench.claim(worker)
    bench.store.cancel([job])
    assert bench.store.recover(worker) == 1
    assert bench.states(job) == ["cancelled"]
    assert bench.put(unique="u") != job


def test_a_suspect_that_fails_is_tried_again_as_a_suspect(bench: Bench):
    bench.put()
    crash(bench, begun=False)
    worker = bench.worker()
    (claimed,) = bench.claim(worker, alone=True)
    bench.settle(worker, claimed, Event.RETRY, delay=1.0)
    bench.clock.advance(1)
    assert bench.ids(worker) == []
    assert bench.ids(worker, alone=True) == [claimed.id]


def test_no_crash_leaks_a_place(bench: Bench):
    rules = (Rule("t/limit", cap=1), Rule("t/limit-1", cap=1, keyed=0))
    jobs = [bench.put(gates=("g",)) for _ in range(3)]
    lost = bench.worker()
    assert bench.ids(lost, 3, rules=rules) == jobs[:1]
    bench.store.recover(lost)
    worker = bench.worker()
    assert bench.ids(worker, 3, rules=rules) == [jobs[1]]
    bench.store.leave(worker)
    worker = bench.worker()
    assert len(bench.ids(worker, 3, rules=rules)) == 1


# --- what running jobs say -------------------------------------------------------------------------------------------


def test_a_note_counts_with_the_last_token(bench: Bench):
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    bench.store.note([Note(job, claimed.token, 0.25, "a"), Note(job, claimed.token, 0.5, "b")])
    bench.store.note([Note(job, claimed.token - 1, 0.9, "stale"), Note(99_999, 1, 1.0, "nobody's")])
    bench.store.note([])
    assert (bench.store.show(job).progress, bench.store.show(job).note) == (0.5, "b")
    bench.settle(worker, claimed, Event.RELEASE)
    bench.store.note([Note(job, claimed.token, 0.9, "late")])
    assert (bench.store.show(job).progress, bench.store.show(job).note) == (None, "")


def test_running_and_unwanted_tell_a_workers_own_jobs(bench: Bench):
    worker, other = bench.worker(), bench.worker()
    jobs = [bench.put() for _ in range(3)]
    mine = bench.claim(worker, 2)
    bench.claim(other)
    assert sorted(bench.store.running(worker)) == [(job.id, job.token) for job in mine]
    assert bench.store.unwanted(worker) == []
    bench.store.cancel(jobs)
    assert sorted(bench.store.unwanted(worker)) == [(job.id, job.token) for job in mine]
    assert [job for job, _ in bench.store.unwanted(other)] == [jobs[2]]
    assert bench.store.running(99_999) == bench.store.unwanted(99_999) == []


TEXTS = {"surrogate": "caf\udce9", "nul": "a\0b", "wide": "\U0001f600", "long": "x" * 200_000}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_of_an_error_or_a_note_loses_an_outcome(bench: Bench, text: str):
    """A file's name that is no UTF-8 gets into messages as a surrogate."""
    worker, job, other = bench.worker(), bench.put(), bench.put()
    first, second = bench.claim(worker, 2)
    bench.store.note([Note(job, first.token, 0.5, text)])
    assert bench.settle(worker, first, Event.RETRY, error=text, delay=1.0)
    assert bench.settle(worker, second, Event.FAIL, error=text, traceback=text)
    assert bench.states(job, other) == ["scheduled", "failed"]
    (end,) = bench.store.ended([other])
    assert (end.error[:1], end.traceback[:1]) == (text[0], text[0])
    assert bench.store.show(job).error[-1:] == text[-1] or "\udce9" in text


def test_a_draft_that_cannot_be_stored_is_refused_when_it_is_enqueued(bench: Bench):
    """Not when a worker claims it, which would stop all of its task."""
    rules = (Rule("t/limit", cap=1, keyed=0),)
    for bad in ("caf\udce9", "a\0b"):
        for said in ({"key": bad}, {"unique": bad}, {"gates": (bad,)}):
            with contextlib.suppress(Exception):  # what it is called is each store's own; memory takes it
                bench.store.enqueue([Draft(task="t", **said)])
    good = bench.put(gates=("g",))
    worker = bench.worker()
    seen = set()
    while claimed := bench.claim(worker, 5, rules=rules):
        seen |= {job.id for job in claimed}
        for job in claimed:
            assert bench.settle(worker, job)
    assert good in seen
