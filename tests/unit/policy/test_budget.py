"""How many failures a run may have."""

import pytest

from plait.policy.budget import SAMPLE, exhausted


def test_without_a_limit_any_number_may_fail():
    assert not exhausted(10**9, 10**9, None, ended=True)


@pytest.mark.parametrize(("failures", "over"), [(0, False), (2, False), (3, True)])
def test_a_count_is_the_number_that_may_fail(failures, over):
    assert exhausted(failures, 3, 2) is over


def test_zero_allows_none():
    assert exhausted(1, 1, 0)
    assert exhausted(1, SAMPLE, 0.0)


def test_a_share_is_judged_once_enough_have_finished():
    assert not exhausted(1, 1, 0.1), "the first item's failure alone is 100 %"
    assert not exhausted(SAMPLE - 1, SAMPLE - 1, 0.1)
    assert exhausted(3, SAMPLE, 0.1)
    assert not exhausted(2, SAMPLE, 0.1), "exactly the share is allowed"


def test_at_the_end_a_share_of_few_is_judged_too():
    assert exhausted(1, 2, 0.4, ended=True)
    assert not exhausted(0, 2, 0.4, ended=True)
