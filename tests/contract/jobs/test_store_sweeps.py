"""Upkeep goes through tables a stretch at a time: every row gets its turn, however many there are."""

from pathlib import Path

import pytest

from plait.jobs.records import Draft, Fan, Rule, Want
from plait.jobs.sql import sweep
from plait.jobs.sql.store import SqlStore
from plait.jobs.testing import VirtualClock
from tests.support.stores import Bench, closing, open_store, outcome

EACH = (Rule("t/limit", cap=1, keyed=0),)


@pytest.fixture(params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sweep, "STRETCH", 3)
    clock = VirtualClock()
    store = open_store(request.param, clock, tmp_path / "jobs.db", postgres)
    with closing(store):
        yield Bench(store, clock)


def count(bench: Bench, table: str) -> int:
    assert isinstance(bench.store, SqlStore)
    return bench.store.read(lambda session: session.rows(f"SELECT count(*) FROM {table}"))[0][0]


def test_all_that_is_kept_no_longer_is_forgotten_in_the_end(bench: Bench):
    worker = bench.worker()
    for number in range(10):
        bench.store.enqueue([Draft(task="t", key=f"k{number}")], fan=Fan(total=1))
    claimed = bench.claim(worker, 10)
    bench.store.turn(worker, [outcome(job, keep=float(at % 4)) for at, job in enumerate(claimed)])
    assert (count(bench, "plait_done"), count(bench, "plait_grp")) == (10, 10)
    bench.clock.advance(5)
    for _ in range(12):
        bench.store.upkeep()
    assert (count(bench, "plait_done"), count(bench, "plait_grp")) == (0, 0)
    assert count(bench, "plait_fair") == 1, "what keys are overtaken by their lane are forgotten as well"


def test_what_is_needed_longer_is_not_in_the_way_of_the_rest(bench: Bench):
    worker = bench.worker()
    bench.store.enqueue([Draft(task="t")] * 12, fan=Fan(total=12))
    claimed = bench.claim(worker, 11)
    bench.store.turn(worker, [outcome(job, keep=0.0) for job in claimed])
    for _ in range(4):
        bench.run(worker, bench.put("u"), keep=1.0)
    bench.clock.advance(5)
    for _ in range(8):
        bench.store.upkeep()
    assert count(bench, "plait_done") == 11, "the parts of the group that is open, and nothing else"


def test_gates_get_their_turn_too(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """More than are looked at in one go: all that hold jobs whose rule is gone let them come back."""
    worker = bench.worker()
    keys = [f"{number:03}" for number in range(130)]
    bench.store.enqueue([Draft(task="t", gates=(key,)) for key in keys * 2])
    running = len(bench.claim(worker, 500, rules=EACH))
    assert running == 130
    bench.claim(worker, 500, rules=EACH)
    back = 0
    for _ in range(3):
        bench.store.upkeep()
        back += len(bench.store.turn(worker, (), [Want("t", 500)]).claimed)
    assert back == 130
