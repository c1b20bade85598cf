"""Workers, clients and the world at its worst, over a real store, in virtual time: what is promised holds throughout.

`PLAIT_SEED=123` runs that one world again, and tells what happened in the simplest like it that goes wrong.
"""

import os

import pytest

from plait.jobs.postgres import hot
from plait.jobs.postgres.store import PostgresStore
from tests.property.jobs_simulation.simulate import check
from tests.property.jobs_simulation.workload import drawn

SEED = os.environ.get("PLAIT_SEED")
FEW = [range(int(SEED), int(SEED) + 1)] if SEED else [range(first, first + 20) for first in range(0, 300, 20)]
MANY = [range(first, first + 250) for first in range(1000, 11_000, 250)]


def named(seeds: range) -> str:
    return f"{seeds.start}-{seeds.stop - 1}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seeds", FEW, ids=named)
def test_nothing_is_lost_or_doubled_whatever_befalls(seeds, tmp_path):
    for seed in seeds:
        check(drawn(seed, tmp_path))


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seeds", MANY, ids=named)
def test_nothing_is_lost_or_doubled_in_ten_thousand_worlds(seeds, tmp_path):
    for seed in seeds:
        check(drawn(seed, tmp_path))


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(20_000, 20_040))
def test_nothing_is_lost_or_doubled_in_postgresql(seed, postgres, monkeypatch):
    monkeypatch.setattr(hot, "RESET", 0.0)  # every claim from the very beginning: else some jobs come a little late
    monkeypatch.setattr(hot, "SHARE", 0.0)
    check(drawn(seed), lambda clock: PostgresStore(postgres, clock=clock), simplify=False)
