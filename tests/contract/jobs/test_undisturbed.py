"""What others do, or fail to do, keeps no worker from its work."""

import threading
import time

import apsw
import psycopg
import pytest

import plait
from plait.errors import StoreError
from plait.jobs.postgres.store import PostgresStore
from plait.jobs.protocol import Event, State
from plait.jobs.records import Draft, Fan, Outcome, Want, WorkerInfo
from plait.jobs.sqlite.store import SqliteStore
from plait.jobs.worker.worker import Worker
from tests.contract.jobs.at_work import PATIENCE, at_work

pytestmark = pytest.mark.timeout(300)
ME = WorkerInfo(host="elsewhere", pid=1)


class Counting:
    """A listener that counts its waits."""

    def __init__(self, inner):
        self.inner, self.waits = inner, []
        self.wake, self.close = inner.wake, inner.close

    def wait(self, timeout):
        self.waits.append(timeout)
        return self.inner.wait(timeout)


class Listened(SqliteStore):
    def listen(self, *, ends=False):
        self.heard = Counting(super().listen(ends=ends))
        return self.heard


def test_a_keeper_that_may_claim_nothing_sleeps_though_something_is_due(tmp_path, until):
    """Also while it drains, and where the only task's lane rests."""
    store = Listened(str(tmp_path / "jobs.db"))
    jobs = plait.Jobs(store.url, store=store)
    task = jobs.task(name="hold", model="threads")(lambda: 1)
    with at_work(jobs) as worker:
        later = task.with_(delay=1.0).enqueue()
        until(lambda: worker.keeper._due is not None, PATIENCE, "the keeper to know what is due")
        worker.keeper.accepting = False
        until(lambda: worker.keeper._due < time.monotonic() - 0.1, PATIENCE, "the job to be due")
        count = len(store.heard.waits)
        until(lambda: len(store.heard.waits) >= count + 3, PATIENCE, "three more looks")
        assert min(store.heard.waits[count + 1 :]) > 0.5
        worker.keeper.accepting = True
        assert later.result(PATIENCE) == 1
    jobs.close()
    store.close()


def test_a_schedule_that_cannot_be_fired_keeps_nobody_from_upkeep(tmp_path, until):
    """Dead workers' jobs come back, gates open."""

    def fire():
        raise StoreError("this schedule cannot be stored")

    store = SqliteStore(str(tmp_path / "jobs.db"))
    dead = store.register(ME)
    (placed,), _ = store.enqueue([Draft(task="t")])
    store.turn(dead, (), [Want("t", 1)])
    store.presence.let_go(dead)
    store.write(lambda session: session.run("UPDATE plait_worker SET until = 1 WHERE id = ?", (dead,)))
    worker = Worker(store, {}, fire=fire, pulse=False)
    worker.start()
    try:
        until(
            lambda: store.states([placed.id])[placed.id] is State.WAITING, PATIENCE, "the dead worker's job to return"
        )
    finally:
        worker.drain(0)
        store.close()


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK"])
def test_a_task_that_ends_its_transaction_in_sql_is_not_done(tmp_path, sql):
    """After a ROLLBACK there are no effects; after a COMMIT no fence has held."""
    with plait.Jobs(f"sqlite:///{tmp_path / 'jobs.db'}") as jobs:
        jobs.store.write(lambda session: session.run("CREATE TABLE effect (n INTEGER)"))

        @jobs.task(transactional=True)
        def ends(connection: apsw.Connection) -> None:
            connection.execute("INSERT INTO effect VALUES (1)")
            connection.execute(sql)

        job = ends.enqueue()
        jobs.run_pending()
        assert job.state is State.FAILED


def test_a_clients_open_transaction_keeps_no_worker_from_settling(postgres):
    """Not even where a chain goes on with a job of the same `key=`."""
    store = PostgresStore(postgres)
    worker = store.register(ME)
    store.enqueue([Draft(task="b", key="k")])
    store.enqueue([Draft(task="a", then=(Draft(task="b", key="k", args=b"\x80"),)), Draft(task="a")])
    claimed = store.turn(worker, (), [Want("a", 2)]).claimed
    with psycopg.connect(postgres) as client:
        store.enqueue([Draft(task="b", key="k")], connection=client)
        settled = threading.Event()
        outcomes = [Outcome(id=job.id, token=job.token, event=Event.SUCCEED) for job in claimed]

        def settle():
            store.turn(worker, outcomes)
            settled.set()

        thread = threading.Thread(target=settle)
        thread.start()
        free = settled.wait(PATIENCE)
        client.commit()
        thread.join()
    store.close()
    assert free


def test_texts_of_what_follows_a_group_are_looked_at_when_it_is_enqueued(postgres):
    """Else no worker could settle the last part."""
    store = PostgresStore(postgres)
    too_long = "".join(chr(0x20000 + 7919 * at % 0xA000) for at in range(800))
    with pytest.raises(plait.ArgumentRefused):
        store.enqueue([Draft(task="part")], fan=Fan(total=1, then=Draft(task="then", unique=too_long)))
    store.close()
