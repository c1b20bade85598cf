"""PostgreSQL: what somebody else commits between two statements of a transaction, or just before the second."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from plait.jobs.postgres.store import PostgresStore
from plait.jobs.protocol import LEASE, Event, State
from plait.jobs.records import Draft, Outcome, Want, WorkerInfo
from plait.jobs.sql import workers
from plait.jobs.testing import VirtualClock
from tests.support.stores import ageless, closing

pytestmark = pytest.mark.timeout(300)

ME = WorkerInfo(host="here", pid=1)
PATIENCE = 60.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def stores(postgres: str, clock: VirtualClock) -> Iterator[list[PostgresStore]]:
    """Two clients of one database."""
    made = [ageless(PostgresStore(postgres, clock=clock)) for _ in range(2)]
    with closing(*made):
        yield made


def count(store: PostgresStore, sql: str) -> int:
    return int(store.read(lambda session: session.rows(f"SELECT count(*) {sql}"))[0][0])


WAITING = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def in_a_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    return thread, found


def test_a_job_is_forgotten_while_it_is_run_again(stores, clock, postgres, until):
    """Its unique key would be kept for ever by a job that is none: nobody could enqueue another."""
    one, other = stores
    worker = one.register(ME)
    [job], _ = one.enqueue([Draft(task="t", unique="k")])
    [claimed] = one.turn(worker, (), [Want("t", 1)]).claimed
    one.turn(worker, [Outcome(id=claimed.id, token=claimed.token, event=Event.FAIL, keep=1.0)])
    clock.advance(2.0)
    with psycopg.connect(postgres) as client:
        other.enqueue([Draft(task="t", unique="k")], connection=client)  # has the key, until it is undone
        thread, again = in_a_thread(lambda: one.redo([job.id]))
        until(lambda: count(other, WAITING) == 1, PATIENCE, what="the wait for the key")
        other.upkeep()
        client.rollback()
        thread.join()
    [after], _ = other.enqueue([Draft(task="t", unique="k")])
    assert other.states([after.id]) == {after.id: State.WAITING}
    assert again == [[job.id]]


def test_a_lease_is_renewed_while_it_is_found_to_have_run_out(stores, clock):
    """The renewal was first: its worker was told that it still has its jobs."""
    one, other = stores
    worker = one.register(ME)
    one.enqueue([Draft(task="t")])
    [claimed] = one.turn(worker, (), [Want("t", 1)]).claimed
    clock.advance(LEASE + 1.0)
    beaten, go = threading.Event(), threading.Event()

    def beat(session):
        renewed = workers.beat(session, worker, clock())
        beaten.set()
        go.wait(PATIENCE)
        return renewed

    beats, renewed = in_a_thread(lambda: one.write(beat))
    assert beaten.wait(PATIENCE)
    tends, _ = in_a_thread(other.upkeep)
    tends.join(1.0)  # it may not wait for the renewal; if it does, that is committed now
    go.set()
    beats.join()
    tends.join()
    assert renewed == [True]
    assert one.running(worker) == [(claimed.id, claimed.token)]
    assert one.show(claimed.id).crashes == 0
