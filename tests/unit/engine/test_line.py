"""How waiting items are shared out among seats."""

import pytest

from plait.engine.line import LEAST, PREFETCH, Line
from plait.engine.pieces import Chunk, Piece, Post
from plait.policy.chunks import Sizer
from plait.policy.gate import Gate
from plait.policy.limit import Limit
from tests.unit.engine.seats import FakeSeat


def post(style: str = "serial", width: int = 1, in_hand: int = 0) -> Post:
    made = Post(FakeSeat(1, style, width))
    if in_hand:
        chunk = Chunk.of(0, Piece(0, list(range(in_hand))))
        made.chunks[0], made.in_hand = chunk, in_hand
    return made


def line(items: int = 0, *, size: int = 1, seconds: float | None = None) -> Line:
    """A line of so many items, of which a chunk's size and an item's seconds are known."""
    made = Line(Sizer())
    made.sizer.size, made.sizer.seconds_per_item = size, seconds
    for item in range(items):
        made.offer(item)
    return made


def suspect(item: int) -> Piece:
    return Piece(item, [item], crashes=1)


def test_it_is_true_while_something_waits():
    one = line()
    assert not one
    for wait in (lambda: one.put_back(Piece(0, [0])), lambda: one.put_back(suspect(7)), lambda: one.offer(1)):
        wait()
        assert one
        one.clear()
        assert not one


def test_numbers_are_given_once():
    one = line()
    assert [one.number(3), one.number(1), one.number(2)] == [0, 3, 4]


class TestRoom:
    def test_a_worker_gets_one_chunk_until_it_is_known_to_be_short(self):
        free, busy = post(), post(in_hand=8)
        unknown, short, long = line(size=8), line(size=8, seconds=PREFETCH / 16), line(size=8, seconds=PREFETCH)
        assert [one.room(free, [free]) for one in (unknown, short, long)] == [8, 8, 8]
        assert [one.room(busy, [busy]) for one in (unknown, short, long)] == [0, 8, 0]

    def test_a_loop_gets_what_it_is_wide_and_a_few_that_wait_in_it(self):
        one = post("loop", 16)
        assert line().room(one, [one]) == 20
        assert line().room(post("loop", 16, in_hand=20), [one]) == 0

    def test_it_is_not_woken_for_a_single_place(self):
        one = line(size=2)
        room = 16 + 2 * 16
        assert one.room(post("loop", 16, in_hand=room - 1), [post()]) == 0
        assert one.room(post("loop", 16, in_hand=room - 2), [post()]) == 2

    def test_slow_items_wait_in_no_seat_while_there_are_others(self):
        one = post("threads", 4)
        slow = line(seconds=PREFETCH * 2)
        assert slow.room(one, [one, post()]) == 4
        assert slow.room(one, [one]) > 4

    @pytest.mark.parametrize("style", ["threads", "loop"])
    def test_a_trial_has_one_share_in_progress_at_once(self, style):
        one = line()
        one.limit = 1
        free = post(style, 32)
        assert one.room(free, [free]) == 1
        assert one.room(post(style, 32, in_hand=1), [free]) == 0

    def test_a_seat_to_be_replaced_gets_nothing(self):
        one = post()
        one.condemned = "memory"
        assert line(5).room(one, [one]) == 0

    def test_nothing_joins_an_item_that_must_be_alone(self):
        one = post("threads", 4)
        one.chunks[0] = Chunk.of(0, suspect(7))
        assert line(5).room(one, [one]) == 0

    def test_one_seat_empties_for_an_item_that_must_be_alone_and_the_others_go_on(self):
        """Otherwise it would never have its turn."""
        one = line(5)
        one.put_back(suspect(7))
        least, more = post("threads", 8, in_hand=2), post("threads", 8, in_hand=4)
        both = [more, least]
        assert [one.room(seat, both) > 0 for seat in both] == [True, False]

    def test_a_seat_that_gets_nothing_anyway_is_not_the_one(self):
        one = line(5)
        one.put_back(suspect(7))
        condemned, other = post("threads", 8, in_hand=1), post("threads", 8, in_hand=4)
        condemned.condemned = "memory"
        assert one.room(other, [condemned, other]) == 0


class TestNext:
    def take(self, one: Line, room: int, *posts: Post) -> tuple[int, list]:
        piece = one.next(posts[0], room, posts)
        assert piece is not None
        return piece.start, piece.items

    def test_nothing_waits(self):
        assert line().next(post(), 5, [post()]) is None

    def test_items_come_in_order_with_their_index(self):
        one = line(5)
        one.first = 10  # a probe ran ten before
        assert self.take(one, 3, post()) == (10, [0, 1, 2])
        assert self.take(one, 3, post()) == (13, [3, 4])

    def test_what_is_run_again_goes_first(self):
        one = line(2)
        one.put_back(Piece(40, ["again"]))
        assert self.take(one, 9, post()) == (40, ["again"])
        assert self.take(one, 9, post()) == (0, [0, 1])

    def test_what_goes_first_goes_before_what_is_run_again_too(self):
        one = line()
        for piece, first in ((Piece(40, ["a"]), False), (Piece(41, ["b"]), False), (Piece(42, ["c"]), True)):
            one.put_back(piece, first=first)
        assert [self.take(one, 9, post())[0] for _ in range(3)] == [42, 40, 41]

    def test_a_piece_too_large_is_split_and_its_rest_stays_first(self):
        one = line(2)
        one.put_back(Piece(40, list("abc")))
        assert self.take(one, 2, post()) == (40, ["a", "b"])
        assert self.take(one, 2, post()) == (42, ["c"])

    def test_an_item_that_must_be_alone_waits_for_an_empty_seat(self):
        one = line()
        one.put_back(Piece(40, ["other"]))
        one.put_back(suspect(7))
        assert self.take(one, 9, post("threads", 4, in_hand=1)) == (40, ["other"])
        assert one.next(post("threads", 4, in_hand=1), 9, [post()]) is None
        assert self.take(one, 9, post()) == (7, [7])

    def test_an_empty_seat_takes_it_before_anything_else(self):
        one = line()
        one.put_back(Piece(40, ["other"]))
        one.put_back(suspect(7))
        assert self.take(one, 9, post()) == (7, [7])

    def test_the_last_items_are_shared_out(self):
        """Half a fair share each time, so that all seats end together."""
        one = line(100, seconds=1.0)
        taken = [len(self.take(one, 64, post(), post())[1]) for _ in range(4)]
        assert taken == [25, 19, 14, 11]

    def test_a_single_worker_has_nobody_to_share_with(self):
        assert len(self.take(line(100, seconds=1.0), 64, post())[1]) == 64

    def test_what_takes_no_time_is_not_shared_out_further(self):
        one = line(100, seconds=LEAST / 50)
        assert len(self.take(one, 64, post(), post())[1]) == 50


def test_what_need_not_be_run_leaves_nothing_behind_where_a_gate_decides():
    one = line()
    one.gate = Gate([], [Limit(1)])
    for index in range(0, 1000, 2):
        one.skip(index)
    assert not one.gaps
