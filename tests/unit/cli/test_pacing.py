import pytest

import plait
from plait.cli.flags import FlagError
from plait.cli.pacing import Field, limits_of, rates_of


def test_nothing_said():
    assert rates_of((), None) is None
    assert limits_of((), None) is None


def test_the_last_has_the_key():
    rates = rates_of(("500/s", "5"), "host")
    assert [(rate.per_second, rate.key is None) for rate in rates] == [(500, True), (5, False)]
    first, second = limits_of((100, 2), "operator:itemgetter")
    assert (first, second.n) == (plait.Limit(100), 2)


def test_a_key_needs_what_it_is_for():
    with pytest.raises(FlagError, match="--limit-key host says what the last --limit goes by, and there is none"):
        limits_of((), "host")


def test_a_field():
    field = Field("--rate-key", "host")
    assert field({"host": "a.org"}) == "a.org"
    assert repr(field) == "<field 'host'>"
    with pytest.raises(KeyError, match="has no such field, but name, size"):
        field({"name": 1, "size": 2})
    with pytest.raises(TypeError, match=r"the item is of type str: give FILE\.py:FUNC"):
        field("a.org")
