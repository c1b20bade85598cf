"""What tests of faults share: workers of their own, and a look at what is left of them."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import plait
from plait.places.processes.pool import current
from tests.contract.models import Calls
from tests.faults.support.under_fault import Scene


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    """Where functions note that they were called."""
    return Calls(tmp_path / "calls")


@pytest.fixture(scope="session")
def begun() -> None:
    """What a first run leaves for the next (imports, a thread for timers) is there."""
    list(plait.map(str, range(3), model="threads", timeout=5))
    list(plait.map(str, range(3), model="processes", workers=1))


@pytest.fixture
def settled(begun: None) -> None:
    """The warm pool of earlier tests is gone."""
    current.reset()


@pytest.fixture
def pool(settled: None, nothing_left: None) -> Iterator[plait.Pool]:
    """A pool of the test's own: of its two workers, starter, threads, descriptors and memory nothing may be left."""
    with plait.Pool(workers=2) as mine:
        yield mine


@pytest.fixture
def workers() -> Callable[[], list[psutil.Process]]:
    """The worker processes that live now: the children of our starters."""

    def find() -> list[psutil.Process]:
        found = []
        for starter in psutil.Process().children():
            try:
                found += [child for child in starter.children() if child.status() != psutil.STATUS_ZOMBIE]
            except psutil.Error:
                continue
        return found

    return find


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[threading.Event], None]], threading.Event]]:
    """Runs something in a thread beside the test, and tells it to stop at the end."""
    stop, threads = threading.Event(), []

    def begin(what: Callable[[threading.Event], None]) -> threading.Event:
        thread = threading.Thread(target=what, args=(stop,), name="meanwhile")
        threads.append(thread)
        thread.start()
        return stop

    yield begin
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long hangs are what these tests are about: each says so sooner than the others' limit."""
    here = os.path.dirname(__file__)
    for item in items:
        if str(item.path).startswith(here) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(40))


@pytest.fixture(params=["sqlite", "postgres"])
def scene(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A store, workers of processes of their own on it, and the jobs of `support/app.py`."""
    database = tmp_path / "jobs.db"
    url = f"sqlite:///{database}" if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = Scene(tmp_path, url, monkeypatch)
    try:
        yield made
    finally:
        print(made.words())  # for a test that fails
        made.end()
