"""Items that begin to end far more slowly are noticed within three looks."""

from plait.fit.slump import Slump, Sums


def looks(*counts: int, every: float = 0.05) -> list[Sums | None]:
    """What each look says where so many items ended between two of them."""
    slump, total, said = Slump(Sums(0.0)), 0, []
    for number, count in enumerate(counts, 1):
        total += count
        said.append(slump.look(Sums(number * every, total, total * 0.1, total * 0.01)))
    return said


def test_a_steady_stretch_has_none():
    assert looks(*[100] * 20) == [None] * 20


def test_one_that_grows_faster_has_none():
    assert looks(10, 20, 40, 80, 160, 320) == [None] * 6


def test_items_that_end_at_a_tenth_of_the_rate_are_one():
    said = looks(100, 100, 100, 100, 10, 10, 10)
    assert said[:5] == [None] * 5
    assert said[6] is not None
    assert said[6].items == 400, "what came before does not count"


def test_a_single_slow_look_is_none():
    assert looks(100, 100, 100, 100, 10, 100, 100, 100) == [None] * 8


def test_a_few_items_prove_nothing():
    assert looks(3, 3, 0, 0, 0, 0) == [None] * 6


def test_when_nothing_ends_any_more_it_is_one():
    assert looks(100, 100, 100, 0, 0, 0)[-1] is not None
