"""When a trial knows enough, and what it then says."""

import pytest

from plait.engine.trial import GLANCE, ITEMS, MANY, SECONDS, Trial, Used


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


def test_items_that_have_not_ended_are_found_to_wait_by_two_looks_at_their_workers():
    trial = Trial()
    assert trial.glance(10.0, {1: Used(5.0, 0.0), 2: Used(7.0, 0.0)}) is None
    verdict = trial.glance(10.0 + GLANCE, {1: Used(5.0, 0.0), 2: Used(7.0 + 0.1 * GLANCE, 0.0)})
    assert verdict is not None
    assert verdict.waits
    assert verdict.share == pytest.approx(0.05)


def test_items_that_have_not_ended_and_compute_are_left_to_their_results():
    trial = Trial()
    assert trial.glance(0.0, {1: Used(5.0, 0.0)}) is None
    assert trial.glance(GLANCE, {1: Used(5.0 + 0.9 * GLANCE, 0.0)}) is None


def test_a_look_after_a_result_or_at_other_workers_says_nothing():
    trial = Trial()
    assert trial.glance(0.0, {1: Used(5.0, 0.0)}) is None
    trial.add(1, 0.01, 0.01)
    assert trial.glance(GLANCE, {1: Used(5.0, 0.0)}) is None
    assert trial.glance(2 * GLANCE, {2: Used(5.0, 0.0)}) is None
    assert trial.glance(3 * GLANCE, {}) is None


def test_who_has_no_cpu_does_not_wait():
    """On a busy machine, items that compute get a fifth of the time of what they would need."""
    trial = Trial()
    trial.met(7, 3.0)
    assert trial.add(ITEMS - 1, SECONDS, 0.2 * SECONDS, 7, 3.0 + 0.8 * SECONDS) is None
    verdict = trial.add(1, 10 * SECONDS, 2 * SECONDS, 7, 3.0 + 8.8 * SECONDS)
    assert verdict is not None
    assert verdict.share == pytest.approx(1.0)
    assert trial.glance(0.0, {7: Used(0.0, 0.0)}) is None
    assert trial.glance(GLANCE, {7: Used(0.2 * GLANCE, 0.8 * GLANCE)}) is None
