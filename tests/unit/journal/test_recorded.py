import random

import pytest

from plait.journal.recorded import KEY, Recorded


def key(number):
    return number.to_bytes(KEY, "big")


def recorded(numbers):
    return Recorded(b"".join(map(key, numbers)))


def test_nothing_is_recorded():
    nothing = recorded([])
    assert nothing.left == 0
    assert nothing.take(key(1)) is None


def test_each_is_taken_once():
    some = recorded([5, 6, 7])
    assert [some.take(key(number)) for number in (7, 5, 9, 6, 5)] == [2, 0, None, 1, None]
    assert some.left == 0


def test_equal_keys_are_taken_in_the_order_of_recording():
    some = recorded([5, 6, 5, 5, 6])
    assert [some.take(key(5)) for _ in range(4)] == [0, 2, 3, None]
    assert [some.take(key(6)) for _ in range(3)] == [1, 4, None]


def test_what_is_used_up_hides_nothing_that_stands_behind_it():
    numbers = list(range(5_000))
    some = recorded(numbers)
    for number in random.sample(numbers, len(numbers)):
        assert some.take(key(number)) == number
    assert all(some.take(key(number)) is None for number in numbers)


@pytest.mark.parametrize("count", [1, 4, 5, 9, 10, 11, 19, 20, 21, 39, 40, 639, 640, 641])
def test_there_is_always_a_free_slot_that_ends_the_search(count):
    some = recorded(range(count))
    assert some.take(key(10**9)) is None
    assert sorted(some.take(key(number)) for number in range(count)) == list(range(count))


def test_a_hundred_thousand_equal_keys_take_no_longer_than_others():
    many = recorded([1] * 100_000)  # were each searched for from the first on, this would take an hour
    assert [many.take(key(1)) for _ in range(100_000)] == list(range(100_000))
    assert many.left == 0
