"""Memory, SQLite and PostgreSQL tell the same of every history."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from plait.jobs.memory.store import MemoryStore
from plait.jobs.sql.schema import COPIED
from plait.jobs.sql.store import SqlStore
from plait.jobs.testing import VirtualClock
from tests.property.job_histories import Histories
from tests.support.stores import closing, postgres_store, sqlite_store

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@pytest.fixture
def stores(tmp_path: Path, postgres: str) -> Iterator[tuple[list[SqlStore], VirtualClock]]:
    clock = VirtualClock()
    made: list[SqlStore] = [sqlite_store(tmp_path / "jobs.db", clock), postgres_store(postgres, clock)]
    with closing(*made):
        yield made, clock


def histories(stores: tuple[list[SqlStore], VirtualClock]) -> Histories:
    """The stores as if they were new."""
    made, clock = stores
    for store in made:
        empty(store)
    return Histories([MemoryStore(clock), *made], clock)


def empty(store: SqlStore) -> None:
    tables = [table for table, _, _ in COPIED] + ["plait_worker", "plait_slot", "plait_moved"]
    store.write(lambda session: [session.run(f"DELETE FROM {table}") for table in tables])
    store.__dict__.pop("turns", None)


def check(stores: tuple[list[SqlStore], VirtualClock], examples: int, steps: int) -> None:
    how = settings(max_examples=examples, stateful_step_count=steps, suppress_health_check=QUIET, deadline=None)
    run_state_machine_as_test(lambda: histories(stores), settings=how)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_all_stores_tell_the_same(stores):
    check(stores, 25, 40)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_all_stores_tell_the_same_of_many_long_histories(stores):
    check(stores, int(os.environ.get("PLAIT_EXAMPLES", "1000")), 100)
