"""What the engine relies on when it asks a gate, step by step."""

import gc
import weakref

import pytest

from plait.policy.gate import Gate
from plait.policy.limit import Limit
from plait.policy.rate import Rate


def itself(item):
    return item


def filled(rates=(), limits=(), items=()):
    gate = Gate(list(rates), list(limits))
    for ref, item in enumerate(items):
        gate.put(ref, item)
    return gate


def test_without_rules_all_go_in_order():
    gate = filled(items="abc")
    assert gate.next_time(5.0) == 5.0
    assert gate.take(5.0, 2) == [0, 1]
    assert gate.take(5.0, 2) == [2]


def test_an_empty_gate_has_nothing_to_give():
    gate = filled([Rate("1/s")], [Limit(1)])
    assert not gate
    assert len(gate) == gate.waiting == 0
    assert gate.take(0.0, 10) == []
    assert gate.next_time(0.0) is None


def test_no_room_means_nothing_is_taken():
    gate = filled([Rate("1/s")], items="a")
    assert gate.take(0.0, 0) == []
    assert gate.take(0.0, 1) == [0]


def test_a_rate_says_when_the_next_may_go():
    gate = filled([Rate("4/s", key=itself)], items="aab")
    assert gate.take(0.0, 10) == [0, 2]
    assert gate.next_time(0.0) == 0.25
    assert gate.take(0.24, 10) == []
    assert gate.take(0.25, 10) == [1]


def test_a_limit_frees_its_place_when_an_item_is_done():
    gate = filled([], [Limit(1, key=itself)], "aab")
    assert gate.take(0.0, 10) == [0, 2]
    assert gate.next_time(0.0) is None, "time alone does not help"
    gate.done(2)
    assert gate.next_time(0.0) is None
    gate.done(0)
    assert gate.next_time(0.0) == 0.0
    assert gate.take(0.0, 10) == [1]


def test_a_limit_for_all_holds_for_all():
    gate = filled([], [Limit(2), Limit(1, key=itself)], "abc")
    assert gate.take(0.0, 10) == [0, 1]
    assert gate.next_time(0.0) is None
    gate.done(1)
    assert gate.take(0.0, 10) == [2]


def test_rates_and_limits_hold_together():
    gate = filled([Rate("10/s"), Rate("1/s", key=itself)], [Limit(1, key=itself)], "aab")
    assert gate.take(0.0, 10) == [0]
    assert gate.next_time(0.0) == 0.1
    assert gate.take(0.1, 10) == [2]
    assert gate.next_time(0.1) is None, "the next of its key is still in progress"
    gate.done(0)
    assert gate.next_time(0.1) == 1.0
    assert gate.take(1.0, 10) == [1]


def test_done_has_no_effect_for_what_was_not_taken_or_twice():
    gate = filled([], [Limit(1)], "abc")
    gate.done(0)
    assert gate.take(0.0, 10) == [0]
    gate.done(0)
    gate.done(0)
    gate.done("never seen")
    assert gate.take(0.0, 10) == [1], "one place was freed, not two"


def test_what_is_given_back_frees_its_limit_and_keeps_its_rate_spent():
    gate = filled([Rate("1/s")], [Limit(1)], "ab")
    assert gate.take(0.0, 10) == [0]
    gate.give_back(0)
    gate.put(0, "a", first=True)
    assert gate.next_time(0.0) == 1.0
    assert gate.take(1.0, 10) == [0]
    gate.done(0)
    assert gate.take(2.0, 10) == [1]


def test_first_goes_before_others_of_its_key_only():
    gate = filled([], [Limit(1)], "ba")
    gate.put("retried", "a", first=True)
    gate.put("last", "a")
    assert gate.take(0.0, 1) == ["retried"], "without keys, all are of one"
    keyed = filled([], [Limit(9, key=itself)], "baa")
    keyed.put("retried", "a", first=True)
    assert keyed.take(0.0, 9) == [0, "retried", 1, 2]


def test_who_waits_at_a_door_is_not_overtaken_by_who_comes():
    gate = Gate([], [Limit(1, key=lambda item: item[0]), Limit(9, key=lambda item: item[1])])
    for ref, item in enumerate(["ax", "ay"]):
        gate.put(ref, item)
    assert gate.take(0.0, 10) == [0]
    gate.put(2, "az")
    gate.done(0)
    assert gate.take(0.0, 10) == [1]
    gate.done(1)
    assert gate.take(0.0, 10) == [2]


def test_doors_are_kept_for_who_was_turned_away_too_often(monkeypatch):
    monkeypatch.setattr("plait.policy.gate.PATIENCE", 1)
    gate = Gate([], [Limit(1, key=lambda item: item[0]), Limit(1, key=lambda item: item[1])])
    gate.put("left", "x1")
    gate.put("right", "2y")
    assert gate.take(0.0, 10) == ["left", "right"]
    gate.put("both", "xy")
    assert gate.take(0.0, 10) == []
    gate.done("left")
    assert gate.take(0.0, 10) == [], "its turn came in vain"
    gate.put("later", "x3")
    assert gate.next_time(0.0) is None
    assert gate.take(0.0, 10) == [], "there would be room, but not for both"
    gate.done("right")
    assert gate.take(0.0, 10) == ["both"]
    gate.done("both")
    assert gate.take(0.0, 10) == ["later"]


def test_what_a_key_function_raises_is_raised_and_nothing_is_kept():
    def host(item):
        raise LookupError(item)

    gate = Gate([Rate("1/s", key=itself)], [Limit(1, key=host)])
    with pytest.raises(LookupError, match="an item"):
        gate.put(0, "an item")
    assert gate.waiting == 0
    assert gate.next_time(0.0) is None
    assert gate.take(0.0, 10) == []


@pytest.mark.parametrize(
    "rates", [[Rate("1/s", key=itself)], [Rate("1/s", key=type), Rate("1/s", key=itself)]], ids=["one", "several"]
)
def test_a_key_that_is_not_hashable_is_refused_and_nothing_is_kept(rates):
    gate = Gate(rates, [])
    with pytest.raises(TypeError, match="unhashable"):
        gate.put(0, ["list"])
    assert gate.waiting == 0
    assert gate.take(0.0, 10) == []
    gate.put(0, "a string")
    assert gate.take(0.0, 10) == [0]


def test_a_key_function_is_called_once_an_item():
    called = []

    def host(item):
        called.append(item)
        return item

    gate = Gate([Rate("1/s", key=host), Rate("9/min", key=host)], [Limit(1, key=host)])
    for item in "aab":
        gate.put(item, item)
    assert called == ["a", "a", "b"]


def test_clear_forgets_those_that_wait_and_counts_those_in_progress():
    gate = filled([Rate("4/s", key=itself)], [Limit(1, key=itself), Limit(2)], "aabbc")
    assert gate.take(0.0, 10) == [0, 2]
    gate.clear()
    assert gate.waiting == 0
    assert gate.next_time(0.0) is None
    gate.put("new", "a")
    assert gate.take(9.0, 10) == []
    gate.done(0)
    assert gate.take(9.0, 10) == ["new"]
    gate.done("new")
    gate.put("newer", "a")
    assert gate.next_time(9.0) == 9.25


def test_references_are_told_apart_by_identity_where_they_do_not_say_otherwise():
    class Piece:
        __slots__ = ("__weakref__",)

    pieces = [Piece(), Piece()]
    gate = Gate([], [Limit(1)])
    for piece in pieces:
        gate.put(piece, "same")
    assert gate.take(0.0, 10) == pieces[:1]
    gate.done(pieces[1])
    assert gate.take(0.0, 10) == []
    gate.done(pieces[0])
    assert gate.take(0.0, 10) == pieces[1:]


def test_what_is_done_is_not_kept_alive():
    class Piece:
        pass

    gate, piece = Gate([Rate("1/s", key=itself)], [Limit(1, key=itself)]), Piece()
    gate.put(piece, "key")
    gate.take(0.0, 1)
    gate.done(piece)
    known = weakref.ref(piece)
    del piece
    gc.collect()
    assert known() is None


def test_time_that_runs_backwards_does_not_lose_anybody():
    gate = filled([Rate("1/s", key=itself)], items="aabb")
    assert gate.take(10.0, 10) == [0, 2]
    assert gate.next_time(11.0) == 11.0
    assert gate.take(5.0, 10) == []
    assert gate.next_time(5.0) == 11.0
    assert gate.take(11.0, 10) == [1, 3]
