"""Hearing of what is new, many threads, forks, closing."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from plait.errors import StoreError
from plait.jobs.memory.store import MemoryStore
from plait.jobs.protocol import Event
from plait.jobs.records import Draft, Rule, Want, WorkerInfo
from plait.jobs.store import Listener, Store
from plait.jobs.testing import VirtualClock
from tests.support.stores import KINDS, STORED, Bench, open_store, outcome

pytestmark = pytest.mark.timeout(180)


def quiet(listener: Listener) -> None:
    """Wait until nothing is heard any more of what happened before."""
    while listener.wait(0.2):
        pass


def wakes(listener: Listener, act: Callable[[], object]) -> bool:
    """Whether somebody who waits hears of what is done meanwhile."""
    quiet(listener)
    thread = threading.Timer(0.05, act)
    thread.start()
    heard = any(listener.wait(5.0) for _ in range(12))
    thread.join()
    return heard


@pytest.fixture
def listening(other: Store):
    """Listeners of the other store on the same place, closed at the end."""
    made: list[Listener] = []

    def listen(**said: bool) -> Listener:
        made.append(other.listen(**said))
        return made[-1]

    yield listen
    for listener in made:
        listener.close()


def test_an_enqueue_is_heard(bench: Bench, listening):
    assert wakes(listening(), bench.put)


def test_jobs_that_come_back_are_heard(bench: Bench, listening):
    worker, listener = bench.worker(), listening()
    bench.put()
    (claimed,) = bench.claim(worker)
    assert wakes(listener, lambda: bench.settle(worker, claimed, Event.RELEASE))
    bench.claim(worker)
    assert wakes(listener, lambda: bench.store.leave(worker))


def test_what_follows_from_an_end_is_heard(bench: Bench, listening):
    """A link of a chain may be another worker's; so may be a job that waited for the place."""
    worker, listener = bench.worker(), listening()
    rules = (Rule("u/limit", cap=1),)
    bench.put("t", then=(Draft(task="next"),))
    bench.put("u")
    (first,) = bench.claim(worker)
    (second,) = bench.claim(worker, task="u", rules=rules)
    assert wakes(listener, lambda: bench.settle(worker, first))
    assert wakes(listener, lambda: bench.settle(worker, second))


def test_a_recovered_workers_jobs_are_heard(bench: Bench, listening):
    worker, listener = bench.worker(), listening()
    bench.put()
    bench.claim(worker)
    bench.clock.advance(60)
    assert wakes(listener, bench.store.upkeep)


def test_a_cancelled_job_is_heard(bench: Bench, listening):
    worker, job = bench.worker(), bench.put()
    bench.claim(worker)
    assert wakes(listening(), lambda: bench.store.cancel([job]))


def test_an_end_is_heard_by_those_who_wait_for_ends(bench: Bench, listening):
    worker, job, waiting = bench.worker(), bench.put(), bench.put()
    listener = listening(ends=True)
    (claimed,) = bench.claim(worker)
    assert wakes(listener, lambda: bench.settle(worker, claimed))
    assert wakes(listener, lambda: bench.store.cancel([waiting]))
    assert bench.states(job, waiting) == ["done", "cancelled"]


def test_wake_ends_a_wait_from_any_thread_and_the_next_one(listening):
    listener = listening()
    quiet(listener)
    listener.wake()
    assert listener.wait(30.0)
    assert wakes(listener, listener.wake)


def test_a_wait_ends_in_time_when_nothing_happens(listening):
    listener = listening()
    quiet(listener)
    assert not listener.wait(0.01)


# --- many threads ----------------------------------------------------------------------------------------------------


def test_it_is_safe_from_many_threads(bench: Bench):
    """Eight enqueue, four work: every job is done once."""
    store, done, lock = bench.store, [], threading.Lock()
    over = threading.Event()

    def enqueue(number: int) -> None:
        for at in range(15):
            store.enqueue([Draft(task="t", args=f"{number}/{at}/{n}".encode(), key=str(number)) for n in range(2)])

    def work() -> None:
        worker = store.register(WorkerInfo(host="h", pid=1))
        outcomes = []
        while True:
            last = over.is_set()
            turn = store.turn(worker, outcomes, [Want("t", 7)])
            assert turn.refused == ()
            outcomes = [outcome(job, result=job.args) for job in turn.claimed]
            with lock:
                done.extend(job.args for job in turn.claimed)
            if last and not turn.claimed:
                return

    workers = [threading.Thread(target=work) for _ in range(4)]
    clients = [threading.Thread(target=enqueue, args=(number,)) for number in range(8)]
    for thread in workers + clients:
        thread.start()
    for thread in clients:
        thread.join()
    over.set()
    for thread in workers:
        thread.join()
    assert len(done) == len(set(done)) == 8 * 15 * 2
    assert store.queues()[0].counts == {"done": 240}


# --- forks, and the end ----------------------------------------------------------------------------------------------


def test_a_forked_child_is_told_to_open_its_own(bench: Bench):
    """It would lose what it enqueues, or damage what is its parent's."""
    job = bench.put()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        said = b"nothing"
        try:
            bench.store.enqueue([Draft(task="t")])
        except StoreError as error:
            said = str(error).encode()
        except BaseException as error:
            said = repr(error).encode()
        finally:
            os.write(write, said)
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    said = os.read(read, 4096).decode()
    os.close(read)
    assert "forked" in said
    assert bench.store.queues()[0].counts == {"waiting": 1}
    assert bench.ids(bench.worker()) == [job]


def test_closing_twice_is_no_error(bench: Bench):
    bench.put()
    bench.store.close()
    bench.store.close()


@pytest.mark.parametrize("store", STORED, indirect=True)
def test_a_closed_store_says_so(bench: Bench):
    bench.store.close()
    for act in (bench.put, bench.store.queues, bench.worker):
        with pytest.raises(StoreError, match="closed"):
            act()


def test_what_is_stored_is_there_for_whoever_opens_it_next(bench: Bench, other: Store):
    worker, jobs = bench.worker(), [bench.put(args=b"x", key="k") for _ in range(3)]
    bench.run(worker, jobs[0], result=b"r")
    if not isinstance(bench.store, MemoryStore):
        bench.store.close()
    assert other.show(jobs[0]).result == b"r"
    worker = other.register(WorkerInfo(host="h", pid=1))
    assert [job.id for job in other.turn(worker, (), [Want("t", 9)]).claimed] == jobs[1:]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_open(kind: str, tmp_path: Path, postgres: str, nothing_left: None):
    clock = VirtualClock()
    bench = Bench(open_store(kind, clock, tmp_path / "jobs.db", postgres), clock)
    listener = bench.store.listen()
    worker, job = bench.worker(), bench.put()
    (claimed,) = bench.claim(worker)
    with bench.store.transact(job, claimed.token) as transaction:
        transaction.finish(None, 0.0)
    listener.wait(0.01)
    listener.close()
    bench.store.leave(worker)
    bench.store.close()
