"""`Failure`: falsy, readable, immutable, and fit to travel."""

import dataclasses
import pickle

import pytest

from plait.failure import Failure


@pytest.fixture
def failure() -> Failure:
    return Failure(
        item="a.png", index=5, stage="thumbnail", attempts=3, exception=OSError("disk full"), traceback="..."
    )


def test_it_says_item_stage_attempts_and_cause(failure):
    assert str(failure) == "item 5 failed in thumbnail after 3 attempt(s): OSError: disk full"


def test_filters_drop_it(failure):
    assert [result for result in [1, failure, 2] if result] == [1, 2]
    assert list(filter(None, [failure, "x"])) == ["x"]


def test_it_travels(failure):
    again = pickle.loads(pickle.dumps(failure))
    assert (again.item, again.index, again.stage, again.attempts, again.traceback) == (
        "a.png",
        5,
        "thumbnail",
        3,
        "...",
    )
    assert isinstance(again.exception, OSError)
    assert str(again.exception) == "disk full"


def test_it_cannot_be_changed(failure):
    with pytest.raises(dataclasses.FrozenInstanceError):
        failure.attempts = 4
