"""What tests of workers share: a worker in the test's own process, and waiting for many jobs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from plait import Jobs
from plait.jobs.worker.worker import Worker

#: Seconds that anything may take on a machine that has much else to do.
PATIENCE = 60.0


@contextmanager
def at_work(jobs: Jobs, grace: float = 10.0, **options: Any) -> Iterator[Worker]:
    """A worker of `jobs`, drained at the end."""
    worker = jobs.worker(**options)
    worker.start()
    try:
        yield worker
    finally:
        worker.drain(grace)


def results(handles: list[Any]) -> list[Any]:
    """What jobs returned."""
    return [handle.result(PATIENCE) for handle in handles]


@contextmanager
def queue(kind: str, request: pytest.FixtureRequest) -> Iterator[Jobs]:
    """A queue in a new store: `"sqlite"` or `"postgres"`."""
    url = request.getfixturevalue("postgres") if kind == "postgres" else ""
    with Jobs(url or f"sqlite:///{request.getfixturevalue('tmp_path') / 'jobs.db'}") as jobs:
        yield jobs
