"""How many items may be in progress."""

from dataclasses import FrozenInstanceError

import numpy
import pytest

from plait.errors import OptionError
from plait.policy.limit import Limit


def test_a_limit_is_a_count_and_perhaps_a_key():
    assert Limit(5) == Limit(5, key=None)
    assert Limit(numpy.int64(5)) == Limit(5)
    assert Limit(2, key=len).key is len
    with pytest.raises(FrozenInstanceError):
        Limit(5).n = 6


@pytest.mark.parametrize("n", [0, -1, 1.5, "5", True, None])
def test_what_is_no_count_is_refused(n):
    with pytest.raises(OptionError, match=r"^limit=.* it takes a whole number from 1: items in progress at once"):
        Limit(n)


def test_a_key_is_a_function_of_the_item():
    with pytest.raises(OptionError, match=r"^key='host' .* it takes a function of the item, like key=host"):
        Limit(5, key="host")
