"""What the tests over all stores share: a store of each kind, and a second one on the same place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.jobs.memory.store import MemoryStore
from plait.jobs.store import Store
from plait.jobs.testing import VirtualClock
from tests.support.stores import KINDS, Bench, closing, postgres_store, sqlite_store


@pytest.fixture
def clock() -> VirtualClock:
    """The clock of the stores: it moves when it is told to."""
    return VirtualClock()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, clock: VirtualClock, tmp_path: Path) -> Iterator[Store]:
    """A store in memory, in a SQLite file, in a PostgreSQL database."""
    if request.param == "memory":
        made: Store = MemoryStore(clock)
    elif request.param == "sqlite":
        made = sqlite_store(tmp_path / "jobs.db", clock)
    else:
        made = postgres_store(request.getfixturevalue("postgres"), clock)
    with closing(made):
        yield made


@pytest.fixture
def other(store: Store, clock: VirtualClock) -> Iterator[Store]:
    """A second store on the same place, as another process has it; in memory there is but one."""
    if isinstance(store, MemoryStore):
        yield store
        return
    made = sqlite_store(Path(store.path), clock) if store.url.startswith("sqlite") else postgres_store(store.url, clock)
    with closing(made):
        yield made


@pytest.fixture
def bench(store: Store, clock: VirtualClock) -> Bench:
    """The store, with short words for what tests do all the time."""
    return Bench(store, clock)
