"""A PostgreSQL server that crashes under load, is away for long, ends connections: workers go on, nothing is lost."""

import random
import threading
import time
from collections import Counter

import psycopg
import pytest

import plait
from plait.errors import StoreError
from plait.jobs.protocol import State
from tests.faults.support.under_fault import Scene

pytestmark = pytest.mark.timeout(300)

LEASE = 3.0


@pytest.fixture
def scene(own_postgres, tmp_path, monkeypatch):
    """Workers on a server of the test's own."""
    made = Scene(tmp_path, own_postgres.url(), monkeypatch)
    with psycopg.connect(own_postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE effect (job bigint)")
    try:
        yield made
    finally:
        print(made.words())
        made.end()


class Client:
    """Enqueues all the time, from a thread of its own; keeps what was stored, and what was said when it was not."""

    def __init__(self, app):
        self.app, self.stored, self.said = app, [], []
        self.wrong = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self):
        tasks = [self.app.fetch, self.app.wait, self.app.pay, self.app.flaky, self.app.limited.with_(key="k")]
        at = 0
        while not self._over.is_set():
            at += 1
            task = tasks[at % len(tasks)]
            try:
                self.stored += [task.enqueue(at)] if at % 3 else task.enqueue_many([(at,)] * 25)
            except StoreError as error:
                self.said.append(str(error))
            except BaseException as error:
                self.wrong.append(error)
                return
            self._over.wait(0.02 if at % 3 else 0.3)

    def stop(self):
        self._over.set()
        self._thread.join()
        assert self.wrong == []


def assert_each_stored_job_ended_once(scene, client, workers):
    """Nothing failed, nothing that was stored is gone, and effects are there once."""
    states = scene.assert_all_ended()
    failed = {job: scene.app.jobs.job(job).show().error for job, state in states.items() if state is not State.DONE}
    assert not failed
    assert client.stored
    assert {job.id for job in client.stored} <= set(states), "a job that was stored is gone"
    effects = Counter(job for (job,) in scene.rows("SELECT job FROM effect"))
    pays = scene.rows("SELECT d.id FROM plait_done d JOIN plait_lane l ON l.id = lane WHERE task = 'pay'")
    assert effects == {job: 1 for (job,) in pays}, "an effect in the database is missing, or there twice"
    assert [worker.poll() for worker in workers] == [None, None]


@pytest.mark.parametrize("crashes", [2, pytest.param(10, marks=pytest.mark.nightly)])
def test_a_server_that_crashes_under_load(scene, own_postgres, until, crashes):
    """Stopped as by a crash, and started again, several times: each job that was stored ends once."""
    workers = [scene.worker() for _ in range(2)]
    until(lambda: scene.enlisted(2), 60, "two workers")
    client = Client(scene.app)
    try:
        for _ in range(crashes):
            before = len(scene.count("end"))
            until(lambda before=before: len(scene.count("end")) > before + 15, 60, "some jobs")
            own_postgres.stop("immediate")
            time.sleep(random.uniform(0.0, 1.0))
            own_postgres.start()
    finally:
        client.stop()
    until(lambda: scene.left() == 0, 120, "the end of all jobs")
    assert_each_stored_job_ended_once(scene, client, workers)
    for said in client.said:
        assert "cannot be reached" in said or "broke while" in said or "was busy" in said


def test_a_server_that_is_away_for_longer_than_a_lease(scene, own_postgres, until):
    """Nobody could renew a lease, so nobody has lost one: what ran goes on, and is settled when the server is back."""
    jobs = scene.app.gated.enqueue_many([(n,) for n in range(6)])
    workers = [scene.worker(lease=LEASE) for _ in range(2)]
    until(lambda: scene.enlisted(2), 60, "two workers")
    until(lambda: len(scene.count("begin")) == len(jobs), 60, "the beginning of all jobs")
    over = scene.leases_over()
    own_postgres.stop("immediate")
    scene.go()
    until(lambda: len(scene.count("end")) == len(jobs), 60, "the end of all functions")
    until(over, 60, "the end of all leases")
    own_postgres.start()
    until(lambda: scene.left() == 0, 60, "the end of all jobs")
    assert set(scene.assert_all_ended().values()) == {State.DONE}
    assert [scene.count("begin")[job.id] for job in jobs] == [1] * len(jobs), "jobs that were done ran again"
    assert [worker.poll() for worker in workers] == [None, None]


@pytest.mark.parametrize("times", [20, pytest.param(200, marks=pytest.mark.nightly)])
def test_connections_that_are_ended_all_the_time(scene, own_postgres, until, times):
    """Listeners', workers', clients', tasks': whatever they do just then."""
    workers = [scene.worker() for _ in range(2)]
    until(lambda: scene.enlisted(2), 60, "two workers")
    client = Client(scene.app)
    try:
        with psycopg.connect(own_postgres.url(), autocommit=True) as connection:
            for _ in range(times):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'plait' "
                    "AND pid <> pg_backend_pid() AND random() < 0.5"
                )
                time.sleep(random.uniform(0.0, 0.2))
    finally:
        client.stop()
    until(lambda: scene.left() == 0, 120, "the end of all jobs")
    assert_each_stored_job_ended_once(scene, client, workers)


def test_a_client_without_a_server(own_postgres):
    """It is told at once, in words; and as soon as the server is back, it goes on with the same objects."""
    with plait.Jobs(own_postgres.url()) as jobs:
        task = jobs.task(len)
        job = task.enqueue("abc")
        own_postgres.stop()
        with pytest.raises(StoreError, match="cannot be reached"):
            task.enqueue("abc")
        with pytest.raises(StoreError, match="cannot be reached"):
            print(job.state)
        own_postgres.start()
        assert job.state is State.WAITING
        task.enqueue("abc")
