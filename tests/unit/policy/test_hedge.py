"""Who is a straggler, and how many are issued twice."""

import pytest

from plait.errors import OptionError
from plait.policy.hedge import ENOUGH, WINDOW, Hedge, Stragglers


def seen(*durations: float, **options: float) -> Stragglers:
    stragglers = Stragglers(Hedge(**options))
    for seconds in durations:
        stragglers.observed(seconds)
    return stragglers


@pytest.mark.parametrize("percentile", [0.49, 1, 1.0, 95, -1, "0.95", None, float("nan")])
def test_a_percentile_is_a_share(percentile):
    with pytest.raises(OptionError, match=r"^hedge=.* it takes True or a percentile from 0.5 to below 1, like 0.95"):
        Hedge(percentile)


@pytest.mark.parametrize("most", [0, -0.1, 1.1, True, "5%", float("nan")])
def test_most_is_a_share(most):
    with pytest.raises(OptionError, match=r"^most=.* it takes a share of the items, above 0 and up to 1"):
        Hedge(most=most)


def test_nobody_is_a_straggler_before_enough_is_known():
    assert seen().threshold() is None
    assert seen(*[1.0] * (ENOUGH - 1)).threshold() is None
    assert seen(*[1.0] * ENOUGH).threshold() == 1.0


def test_a_straggler_takes_longer_than_the_percentile():
    durations = [float(at) for at in range(1, 101)]
    assert seen(*durations).threshold() == 95.0
    assert seen(*reversed(durations), percentile=0.5).threshold() == 50.0
    assert seen(*durations, percentile=0.999).threshold() == 100.0


def test_only_the_last_ones_count():
    stragglers = seen(*[9.0] * 2000, *[1.0] * WINDOW)
    assert stragglers.threshold() == 1.0


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_what_a_clock_cannot_say_is_ignored(seconds):
    assert seen(*[1.0] * ENOUGH, *[seconds] * 100).threshold() == 1.0


def test_a_share_may_be_issued_twice():
    stragglers = seen(*[1.0] * 41, most=0.05)
    assert stragglers.may()
    stragglers.issued()
    assert stragglers.may()
    stragglers.issued()
    assert not stragglers.may()


def test_savings_are_bounded():
    stragglers = seen(*[1.0] * 100_000, most=0.05)
    issued = 0
    while stragglers.may():
        stragglers.issued()
        issued += 1
    assert issued == pytest.approx(0.05 * WINDOW, abs=1)


def test_a_tiny_share_still_gets_one():
    stragglers = seen(*[1.0] * 2001, most=0.0005)
    assert stragglers.may()
