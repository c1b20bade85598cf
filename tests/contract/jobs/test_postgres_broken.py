"""Connections to PostgreSQL that break while jobs are being stored: what is said of them is true."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from plait.errors import StoreError
from plait.jobs.postgres.store import PostgresStore
from plait.jobs.protocol import Event, State
from plait.jobs.records import Draft, Outcome, Want, WorkerInfo
from tests.support.gateway import Gateway, gateway

pytestmark = pytest.mark.timeout(120)

DRAFT = Draft(task="add", args=b"\x90")
#: What a client says when so many jobs are stored: a single one is a statement by itself.
SAYING = {1: b"INSERT INTO plait_job", 3: b"COMMIT\0"}


@pytest.fixture
def through(postgres: str) -> Iterator[tuple[PostgresStore, Gateway]]:
    """A store, and the gateway that it is behind."""
    said = conninfo_to_dict(postgres)
    socket = Path(str(said["host"])) / f".s.PGSQL.{said.get('port', 5432)}"
    with tempfile.TemporaryDirectory() as folder, gateway(socket, Path(folder)) as way:
        store = PostgresStore(make_conninfo(postgres, host=folder))
        store.enqueue([DRAFT])  # from here on the lane is there
        yield store, way
        store.close()


@pytest.mark.parametrize("count", SAYING)
def test_jobs_whose_answer_was_lost_are_stored(through: tuple[PostgresStore, Gateway], count: int) -> None:
    store, way = through
    way.break_at(SAYING[count], heard=True)
    placed, _ = store.enqueue([DRAFT] * count)
    assert way.broken == 1
    assert store.states([place.id for place in placed]) == {place.id: State.WAITING for place in placed}
    assert store.queues()[0].counts.get("waiting") == 1 + count


@pytest.mark.parametrize("count", SAYING)
def test_jobs_that_the_server_never_heard_of_are_not_said_to_be_stored(
    through: tuple[PostgresStore, Gateway], count: int
) -> None:
    store, way = through
    way.break_at(SAYING[count], heard=False)
    with pytest.raises(StoreError, match="whether it was is not known"):
        store.enqueue([DRAFT] * count)
    assert way.broken == 1
    assert store.queues()[0].counts.get("waiting") == 1


@pytest.mark.parametrize("state", [State.RUNNING, State.DONE])
def test_a_job_that_was_claimed_before_its_client_could_look_is_found(
    through: tuple[PostgresStore, Gateway], postgres: str, state: State
) -> None:
    store, way = through
    others = PostgresStore(postgres)
    worker = others.register(WorkerInfo(host="here", pid=1))

    def work() -> None:
        claimed = others.turn(worker, (), [Want("add", 2)]).claimed
        assert len(claimed) == 2
        if state is State.DONE:
            ends = [Outcome(id=job.id, token=job.token, event=Event.SUCCEED, keep=100.0) for job in claimed]
            assert others.turn(worker, ends).refused == ()

    way.break_at(SAYING[1], heard=True, before=work)
    placed, _ = store.enqueue([DRAFT])
    assert way.broken == 1
    assert store.states([placed[0].id]) == {placed[0].id: state}
    others.close()
