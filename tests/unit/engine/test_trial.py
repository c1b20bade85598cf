"""When a trial knows enough, and what it then says."""

import pytest

from plait.engine.trial import ITEMS, MANY, SECONDS, Trial


def test_a_single_item_is_no_verdict_however_long():
    trial = Trial()
    assert trial.add(1, 10 * SECONDS, 0.0) is None


def test_many_items_of_no_time_are_not_enough_before_there_are_very_many():
    trial = Trial()
    assert trial.add(MANY - 1, SECONDS / 10, SECONDS / 10) is None
    verdict = trial.add(1, 0.0, 0.0)
    assert verdict is not None
    assert not verdict.waits


@pytest.mark.parametrize(("cpu", "waits"), [(0.0, True), (0.2, True), (0.4, False), (1.0, False)])
def test_the_share_of_cpu_tells_waiting_from_computing(cpu, waits):
    verdict = Trial().add(ITEMS, SECONDS, cpu * SECONDS)
    assert verdict is not None
    assert verdict.share == pytest.approx(cpu)
    assert verdict.waits is waits


def test_reports_add_up():
    trial = Trial()
    assert trial.add(1, SECONDS / 2, SECONDS / 2) is None
    assert trial.add(1, SECONDS / 2, 0.0) is None
    verdict = trial.add(1, SECONDS, 0.0)
    assert verdict is not None
    assert verdict.share == pytest.approx(0.25)


def test_clocks_that_disagree_give_no_share_above_one():
    """CPU time is read in the worker, and holds what it does besides the function."""
    verdict = Trial().add(MANY, 0.0, 0.01)
    assert verdict is not None
    assert verdict.share == 1.0
