"""The checker finds out every store and every worker that breaks a promise, and says which."""

from dataclasses import replace

import pytest

from plait.jobs.sql import settle
from plait.jobs.sql.schema import RUNNING
from tests.property.jobs_simulation.history import Broken
from tests.property.jobs_simulation.sabotage import SABOTAGED, PassesLimits
from tests.property.jobs_simulation.simulate import broken, check
from tests.property.jobs_simulation.workload import STORM, Case, drawn

WORLDS = 300


def stormy(seed: int) -> Case:
    return replace(drawn(seed), faults=STORM)


def first_broken(make=None, *, recounts=True) -> Broken:
    for seed in range(WORLDS):
        found = broken(stormy(seed), make, recounts=recounts)
        if found is not None:
            return found[0]
    pytest.fail(f"nothing was found in {WORLDS} worlds")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", SABOTAGED, ids=lambda store: store.__name__)
def test_a_store_that_breaks_its_word_is_found_out(store):
    assert first_broken(store).rule in SABOTAGED[store]


@pytest.mark.timeout(300)
def test_a_worker_that_forgets_what_it_was_given_is_found_out():
    """It claims, the answer is lost, and it never asks what it has: nobody runs those jobs."""
    assert first_broken(recounts=False).rule == "liveness"


@pytest.mark.timeout(300)
def test_sql_without_the_fence_is_found_out(monkeypatch, tmp_path):
    """The same checker looks at SQLite: what it says of that is worth as much."""
    monkeypatch.setattr(settle, "_MINE", f"WHERE id = ? AND ? > 0 AND ? > 0 AND state = {RUNNING}")
    cases = (replace(stormy(seed), path=tmp_path, workers=5) for seed in range(WORLDS))
    found = next(found for found in map(broken, cases) if found is not None)
    assert found[0].rule == "fence"


@pytest.mark.timeout(300)
def test_what_is_told_of_a_failure_is_short_and_says_how_to_run_it_again():
    seed = next(seed for seed in range(WORLDS) if broken(stormy(seed), PassesLimits))
    with pytest.raises(AssertionError) as told:
        check(stormy(seed), PassesLimits)
    said = str(told.value)
    assert f"PLAIT_SEED={seed}" in said
    assert "limits: " in said
    assert len(said.splitlines()) < 90
