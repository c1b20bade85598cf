"""How long one attempt may take, and which option says so."""

import pytest

from plait.engine.rules import Rules


@pytest.mark.parametrize(
    ("timeout", "deadline", "patience", "option"),
    [
        (3.0, None, 3.0, "timeout"),
        (None, 3.0, 3.0, "deadline"),
        (2.0, 3.0, 2.0, "timeout"),
        (3.0, 2.0, 2.0, "deadline"),
        (2.0, 2.0, 2.0, "timeout"),
    ],
)
def test_the_shorter_bounds_an_attempt(timeout, deadline, patience, option):
    rules = Rules("stage", timeout=timeout, deadline=deadline)
    assert (rules.patience, rules.impatience) == (patience, option)


def test_without_both_an_attempt_takes_as_long_as_it_takes():
    assert Rules("stage").patience is None


def test_rules_share_nothing_that_changes():
    assert Rules("one").resources is not Rules("two").resources
