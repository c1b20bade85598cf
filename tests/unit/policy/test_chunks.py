"""How many items travel together."""

import pytest

from plait.policy.chunks import AHEAD_BYTES, GROWTH, HEAVY, MOST, TARGET, Sizer


def settled(sizer: Sizer, seconds: float, times: int = 40) -> Sizer:
    for _ in range(times):
        sizer.measured(sizer.size, seconds * sizer.size)
    return sizer


def test_the_first_chunk_is_one_item():
    assert Sizer().size == 1


def test_a_chunk_comes_to_be_worth_the_target():
    sizer = settled(Sizer(), 0.0001)
    assert sizer.size == int(TARGET / 0.0001)
    assert sizer.chunk_seconds == pytest.approx(TARGET, rel=0.05)


def test_slow_items_travel_alone():
    assert settled(Sizer(), 0.5).size == 1


def test_it_grows_by_degrees():
    sizer, sizes = Sizer(), []
    for _ in range(4):
        sizer.measured(1, 1e-7)
        sizes.append(sizer.size)
    assert sizes == [GROWTH, GROWTH**2, GROWTH**3, GROWTH**4]


def test_a_rise_is_believed_at_once():
    sizer = settled(Sizer(), 0.0001)
    sizer.measured(10, 10 * TARGET)
    assert sizer.size == 1


def test_a_fall_is_believed_by_degrees():
    sizer = settled(Sizer(), 0.001)
    sizer.measured(1, 0.0)
    assert sizer.seconds_per_item == pytest.approx(0.0005, rel=0.01)


def test_items_that_take_no_time_at_all_are_no_division_by_zero():
    assert settled(Sizer(), 0.0).size == MOST


@pytest.mark.parametrize(("most", "largest"), [(16, 16), (0, 1), (10**9, MOST)])
def test_no_chunk_exceeds_most(most, largest):
    assert settled(Sizer(most), 1e-8).size == largest


def test_heavy_items_make_small_chunks():
    sizer = Sizer()
    sizer.weighed(4, 4 * 100_000)
    assert settled(sizer, 1e-7).size == HEAVY // 100_000


def test_an_item_heavier_than_a_chunk_still_travels():
    sizer = Sizer()
    sizer.weighed(1, 100 * HEAVY)
    assert settled(sizer, 1e-7).size == 1


def test_nothing_measured_says_nothing():
    sizer = Sizer()
    sizer.measured(0, 1.0)
    sizer.weighed(0, 1000)
    assert (sizer.size, sizer.seconds_per_item, sizer.bytes_per_item) == (1, None, None)
    assert (sizer.worth(1.0), sizer.chunk_seconds) == (0, 0.0)


def test_worth_says_how_many_items_take_a_time():
    assert settled(Sizer(), 0.001).worth(0.0205) == 20
    assert settled(Sizer(most=5), 0.001).worth(1.0) == 5


class TestBuffer:
    def test_before_anything_is_known_every_slot_has_something(self):
        assert Sizer().buffer(100) >= 208

    def test_a_second_of_work_lies_ahead(self):
        assert settled(Sizer(), 0.001).buffer(4) == pytest.approx(4000, rel=0.01)

    def test_it_is_bounded_for_tiny_items(self):
        assert settled(Sizer(), 1e-7).buffer(64) <= 65536

    def test_it_is_bounded_by_bytes(self):
        sizer = settled(Sizer(), 1e-6)
        sizer.weighed(1, 1 << 20)
        assert sizer.buffer(2) == AHEAD_BYTES >> 20

    def test_items_heavier_than_all_of_it_still_keep_every_slot_busy(self):
        sizer = Sizer()
        sizer.weighed(1, 1 << 30)
        assert sizer.buffer(8) == 24
