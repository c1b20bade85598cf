"""Jobs that have lost workers: those that the next death would end run one by one, and keep nobody for long."""

import importlib
import itertools
from contextlib import contextmanager

import pytest

from plait.jobs.protocol import CRASHES, State
from plait.jobs.records import Want, WorkerInfo
from plait.jobs.worker import suspects
from tests.contract.jobs.at_work import PATIENCE, at_work, results

pytestmark = pytest.mark.timeout(300)

APP = """
import asyncio
import time
from pathlib import Path
from plait import Jobs

here = Path(__file__).parent
jobs = Jobs(f"sqlite:///{here / 'jobs.db'}")

def say(what: str, n: int) -> None:
    with (here / "said").open("a") as said:
        said.write(f"{what} {n}\\n")

@jobs.task
def gated(n: int) -> None:
    say("begin", n)
    while not (here / "go").exists():
        time.sleep(0.02)
    say("end", n)

@jobs.task
async def gated_async(n: int) -> None:
    await asyncio.to_thread(gated, n)

def prepare() -> int:
    time.sleep(3)  # as long as it takes
    return 0

@jobs.task(resources={"ready": prepare})
def prepared(n: int, ready: int) -> None:
    (here / f"began-{n}").write_text(str(time.time()))
    gated(n)

@jobs.task
def child(n: int) -> int:
    return n + 1

@jobs.task
def parent(child: int) -> int:
    return jobs.job(child).result()
"""

_numbers = itertools.count()


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A module with tasks that run until there is a file `go`, and say in another what they do."""
    name = f"suspected_{next(_numbers)}"  # warm workers know those of earlier tests
    (tmp_path / f"{name}.py").write_text(APP)
    monkeypatch.syspath_prepend(tmp_path)
    app = importlib.import_module(name)
    yield app
    (app.here / "go").touch()
    app.jobs.close()


def crashed(app, *jobs, times=CRASHES - 1):
    """Have these jobs lose so many workers in which they had begun."""
    store = app.jobs.store
    for _ in range(times):
        worker = store.register(WorkerInfo(host="elsewhere", pid=1))
        wants = [Want(name, 9, alone=alone) for name in app.jobs.tasks for alone in (False, True)]
        claimed = store.turn(worker, (), wants).claimed
        assert {job.id for job in claimed if store.begin(job.id, job.token)} == {job.id for job in jobs}
        store.recover(worker)
    assert {job.show().crashes for job in jobs} == {times}


def said(app):
    """What tasks have said."""
    return (app.here / "said").read_text().splitlines() if (app.here / "said").exists() else []


@pytest.fixture
def waiting(app, until, monkeypatch):
    """A worker in which one of several last ones has begun, and another waits for its end."""
    monkeypatch.setattr(suspects, "SHOWN", 1e9)

    @contextmanager
    def wait(count, grace=10.0):
        jobs = [app.gated.enqueue(n) for n in range(count)]
        crashed(app, *jobs)
        with at_work(app.jobs, grace) as worker:
            until(lambda: len(said(app)) == 1 and len(worker.lanes.jobs()) > 1, PATIENCE, "one that waits for another")
            yield jobs

    return wait


def test_last_ones_run_one_after_the_other(app, waiting):
    """One may kill the worker, and must not take another with it that had merely begun beside it."""
    with waiting(3) as jobs:
        (app.here / "go").touch()
        results(jobs)
    assert [line.split()[0] for line in said(app)] == ["begin", "end"] * 3


def test_one_that_waits_is_handed_back_when_the_worker_ends(app, waiting):
    with waiting(2, grace=0) as jobs:
        pass
    assert [job.state for job in jobs] == [State.WAITING] * 2
    assert {job.show().crashes for job in jobs} == {CRASHES - 1}
    assert len(said(app)) == 1


def test_one_that_is_cancelled_while_it_waits_does_not_run(app, until, waiting):
    with waiting(2) as jobs:
        (begun,) = (int(line.split()[1]) for line in said(app))
        jobs[1 - begun].cancel()
        until(lambda: jobs[1 - begun].state == State.CANCELLED, PATIENCE, "its end")
        (app.here / "go").touch()
        jobs[begun].result(PATIENCE)
    assert said(app) == [f"begin {begun}", f"end {begun}"]


def test_the_time_in_which_a_seat_is_made_ready_is_nobodys_turn(app, until, monkeypatch):
    """All would begin together when their seats are ready, were it counted."""
    monkeypatch.setattr(suspects, "SHOWN", 0.5)
    jobs = [app.prepared.enqueue(n) for n in range(2)]
    crashed(app, *jobs)
    with at_work(app.jobs) as worker:
        until(lambda: len(said(app)) == 2, PATIENCE, "both beginnings, before any end")
        first, second = (float((app.here / f"began-{n}").read_text()) for n in range(2))
        assert abs(second - first) > 0.4
        assert len(worker.lanes.jobs()) == 2
        (app.here / "go").touch()
        results(jobs)


def test_one_that_comes_alone_keeps_no_others_from_their_places(app, until):
    first = app.gated.enqueue(1)
    crashed(app, first, times=1)
    second = app.gated.enqueue(2)
    other = app.jobs.store.register(WorkerInfo(host="elsewhere", pid=2))
    assert [job.id for job in app.jobs.store.turn(other, (), [Want(app.gated.name, 9)]).claimed] == [second.id]
    with at_work(app.jobs):
        until(lambda: said(app) == ["begin 1"], PATIENCE, "the first beginning")
        app.jobs.store.recover(other)
        until(lambda: said(app) == ["begin 1", "begin 2"], PATIENCE, "the second beginning")
        (app.here / "go").touch()
        assert results([first, second]) == [None, None]


@pytest.mark.parametrize("name", ["gated", "gated_async"])
def test_two_run_at_once_each_in_a_process(app, until, name):
    """None waits in the seat of another: it may be the one whose result that one waits for."""
    jobs = [app.jobs.tasks[name].enqueue(n) for n in range(2)]
    crashed(app, *jobs, times=1)
    with at_work(app.jobs):
        until(lambda: len(said(app)) == 2, PATIENCE, "both beginnings, before any end")
        (app.here / "go").touch()
        results(jobs)


@pytest.mark.parametrize("first", ["parent", "child"])
def test_one_that_waits_for_the_result_of_another_gets_it(app, monkeypatch, first):
    """Whichever comes first: a worker must not wait for ever for the end of a job that waits for another's."""
    monkeypatch.setattr(suspects, "SHOWN", 0.5)
    child = app.child.with_(priority=0 if first == "parent" else 9).enqueue(1)
    parent = app.parent.with_(priority=5).enqueue(child.id)
    crashed(app, child, parent)
    with at_work(app.jobs):
        assert parent.result(PATIENCE) == 2
