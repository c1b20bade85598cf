"""What earlier runs learned is a hint: confirmed by the first items, or forgotten."""

import pytest

from plait.engine.earlier import Earlier
from plait.engine.figures import Figures
from plait.engine.rules import Rules
from plait.fit.evidence import Evidence
from plait.fit.recall import Recalled, recall
from plait.placement import Placement

WAITS = Evidence(50, 0.02, 0.03, 0.02, 0.01, 0.02)
THREADS, PROCESSES = Placement("here", "threads", 1, 256), Placement("processes", "serial", 2, 1)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAIT_CACHE", str(tmp_path / "fit"))


def fetch(item):
    return item


def figures(placement: Placement = THREADS, *, wall: float = 2.0, items: int = 1000) -> Figures:
    made = Figures("fetch", placement=placement, finished=items)
    made.began, made.ended = 0.0, wall
    return made


def remembered(evidence: Evidence = WAITS, placement: Placement = THREADS, **run: float) -> Earlier:
    Earlier(fetch, Rules("fetch")).keep(evidence, figures(placement, **run))
    return Earlier(fetch, Rules("fetch"))


def test_what_was_kept_is_recalled():
    found = remembered().recalled
    assert found == Recalled(WAITS, THREADS, 500.0, 1)


def test_runs_are_counted():
    remembered()
    assert remembered().recalled.runs == 2


def test_a_short_run_has_nothing_to_say():
    assert remembered(wall=0.1).recalled is None


@pytest.mark.parametrize("model", ["threads", ("threads", "processes"), PROCESSES])
def test_where_the_model_is_given_nothing_is_recalled_or_kept(model):
    remembered()
    given = Earlier(fetch, Rules("fetch", model=model))
    assert given.recalled is None
    given.keep(Evidence(1, 9.0, 9.0, 9.0, 1.0), figures(PROCESSES))
    assert recall(fetch).evidence == WAITS


def test_few_items_alike_confirm_it():
    earlier = remembered()
    assert not earlier.confirms(2, 0.04, 0.0), "too few"
    assert not earlier.confirms(3, 0.006, 0.0), "too short"
    assert earlier.confirms(3, 0.06, 0.001)
    assert earlier.confirmed


@pytest.mark.parametrize(("seconds", "cpu"), [(0.3, 0.003), (0.0101, 0.0), (0.06, 0.05)])
def test_items_that_differ_are_a_reason_to_forget_it(seconds, cpu):
    earlier = remembered()
    assert not earlier.confirms(3, seconds, cpu)
    assert earlier.recalled is None


def test_the_same_model_begins_as_wide_as_it_ended():
    earlier = remembered()
    assert earlier.width(Placement("here", "threads", 1, 64)).width == 256
    assert earlier.width(PROCESSES) == PROCESSES


def test_it_knows_whether_workers_will_be_needed():
    assert not remembered().leaves
    assert remembered(placement=PROCESSES).leaves
