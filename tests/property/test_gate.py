"""`Gate` beside a brute-force model that looks at every waiting item each time; virtual time, all else random.

Times are multiples of 1/64 s and rates powers of two, so that floats are exact and "at the same time" means it.
"""

import math
from collections import Counter
from itertools import pairwise
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.policy.doors import NOTHING, Door, Row, Turnstile
from plait.policy.gate import PATIENCE, Gate
from plait.policy.limit import Limit
from plait.policy.rate import Rate
from tests.property.gate_model import Model, key_a, key_b, key_c

TICK = 1 / 64


def rules(keys):
    rates = st.builds(Rate, st.sampled_from([0.25, 1, 2, 8, 64]), st.sampled_from([1, 1.5, 2, 4]), keys)
    limits = st.builds(Limit, st.integers(1, 3), keys)
    return st.tuples(st.lists(rates, max_size=3), st.lists(limits, max_size=2))


items = st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1))
step = st.one_of(
    st.tuples(st.just("put"), items, st.booleans()),
    st.tuples(st.just("put"), items, st.just(False)),
    st.tuples(st.just("take"), st.integers(0, 90), st.integers(0, 6)),
    st.tuples(st.just("take"), st.integers(0, 3), st.just(50)),
    st.tuples(st.just("done"), st.integers(0, 50), st.booleans()),
    st.tuples(st.just("next"), st.just(0), st.just(0)),
    st.tuples(st.just("again"), st.integers(0, 50), st.booleans()),
    st.tuples(st.just("clear"), st.integers(0, 5), st.just(0)),
)
# Short ones to be read, long ones to be thorough.
steps = st.lists(step, max_size=30) | st.lists(step, min_size=50, max_size=150)


class Play:
    """A gate and its model, treated alike."""

    def __init__(self, rates, limits, patience=PATIENCE):
        self.gate, self.model = Gate(rates, limits), Model(rates, limits)
        self.now, self.count, self.patience = 4.0, 0, patience
        #: One key function: rows share no doors, and what the gate says is exact.
        self.alone = len({rule.key for rule in (*rates, *limits)} - {None}) < 2

    def put(self, item, first=False):
        self.gate.put(self.count, item, first=first)
        self.model.put(self.count, item, first)
        self.count += 1

    def take(self, room):
        favoured, alone = self.gate._favoured, len(self.gate._keys) == 1
        taken = self.gate.take(self.now, room)
        assert len(taken) <= room
        if favoured is not None and self.gate._favoured is favoured:
            for item in map(self.model.items.get, taken):
                keys = [key(item) for key in self.gate._keys]
                kept = [favoured.keys] if alone else favoured.keys
                assert all(key != other for key, other in zip(keys, kept, strict=True)), "its doors are kept for it"
        for ref in taken:
            self.model.begin(ref, self.now)
        if len(taken) < room and self.gate._favoured is None:
            assert all(opens > self.now for opens in self.model.heads(self.now)), "nobody is held back without need"
        return taken

    def next(self):
        told, heads = self.gate.next_time(self.now), self.model.heads(self.now)
        soonest = min(heads, default=math.inf)
        if self.gate._favoured is None:
            assert (math.inf if told is None else told) <= soonest, "never too late"
        if self.alone:
            assert told == (None if soonest == math.inf else soonest)
        return told

    def end(self, ref, *, begun=True):
        (self.gate.done if begun else self.gate.give_back)(ref)
        self.model.inside.pop(ref, None)

    def assert_sound(self):
        """Every row is in one place, and every door at which rows wait has a turn to come."""
        gate, turns = self.gate, list(self.gate._round)
        doors = [door for rule in (*gate._turnstiles, *gate._rooms) for door in rule.values()]
        listed = [turn for turn in turns if isinstance(turn, Door)] + [entry[2] for entry in gate._timetable]
        places = Counter(id(row) for row in turns if isinstance(row, Row))
        places[id(gate._favoured)] += 1
        for door in doors:
            at = [] if door.first is NOTHING else [door.first, *(door._rest or ())]
            places.update(map(id, at))
            assert [one is door for one in listed].count(True) == door.listed
            assert door.kept_for is None or door.kept_for is gate._favoured
            if at and not door.listed:
                assert door.kept_for is not None or door.opens(self.now) == math.inf
        del places[id(None)]
        assert places == {id(row): 1 for row in gate._rows.values()}
        for row in gate._rows.values():
            assert row.turned_away < self.patience or row is gate._favoured or row in gate._starving

    def step(self, what, some, more):
        inside = list(self.model.inside)
        if what == "put":
            self.put(some, more)
        elif what == "take":
            self.now += some * TICK
            self.take(more)
        elif what == "next":
            self.next()
        elif what == "done" and inside:
            self.end(inside[some % len(inside)], begun=more)
        elif what == "again" and inside:  # it failed, and has waited for its retry
            ref = inside[some % len(inside)]
            self.end(ref)
            self.gate.put(ref, self.model.items[ref], first=more)
            self.model.put(ref, self.model.items[ref], more)
        elif what == "clear" and not some:
            self.gate.clear()
            self.model.waiting.clear()
        self.gate.done("never put")
        self.assert_sound()
        assert len(self.gate) == self.gate.waiting == len(self.model)
        assert bool(self.gate) is bool(self.model.waiting and len(self.model))

    def to_the_end(self):
        """Only what the gate says counts: its time is waited for, or else something in progress ends."""
        spent = 0
        while self.gate:
            when = self.next()
            if when is None:
                assert self.model.inside, "nothing but an end could help, and nothing is in progress"
                self.end(next(iter(self.model.inside)))
                continue
            self.now = max(self.now, when)
            spent = 0 if self.take(3) else spent + 1
            assert spent <= 200, "it does not get on"
        for ref in list(self.model.inside):
            self.end(ref)


@settings(max_examples=200)
@given(rules(st.sampled_from([None, key_a, key_b, key_c])), steps, st.sampled_from([1, 2, PATIENCE]))
def test_it_agrees_with_brute_force_and_everything_is_taken(made, steps, patience):
    play = Play(*made, patience)
    with mock.patch("plait.policy.gate.PATIENCE", patience):  # hardly any random history takes so long
        for step in steps:
            play.step(*step)
        play.to_the_end()
    assert not any(play.gate._rooms), "no key is kept that concerns nobody"
    assert not any(play.gate._turnstiles)


@settings(max_examples=100)
@given(rules(st.sampled_from([None, key_a])), steps)
def test_with_one_key_function_what_it_says_is_exact(made, steps):
    play = Play(*made)
    assert play.alone
    for step in steps:
        play.step(*step)
        play.next()
    play.to_the_end()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30)), min_size=1, max_size=60), st.integers(1, 8))
def test_each_key_has_a_turn_before_any_has_its_second(arrivals, room):
    """Keys come at any time, with any number of items; a rate for all lets some through now and then."""
    gate = Gate([Rate(64, burst=room)], [Limit(10**6, key=lambda key: key)])
    passed: dict[int, Counter] = {}  # of each key that waits: who passed since its first item waits
    waiting: Counter = Counter()
    now = 0.0
    for number, (key, count) in enumerate([*arrivals, *[(None, 0)] * 2000]):
        for at in range(count):
            gate.put((key, number, at), key)
        waiting[key] += count
        if waiting[key]:
            passed.setdefault(key, Counter())
        now += TICK
        for taken, *_ in gate.take(now, room):
            for other, seen in passed.items():
                if other != taken:
                    seen[taken] += 1
                    assert seen[taken] <= 1, (other, "is waiting, and passed twice by", taken)
            waiting[taken] -= 1
            del passed[taken]
            if waiting[taken]:
                passed[taken] = Counter()


def test_a_key_with_one_item_does_not_wait_for_one_with_ten_thousand():
    gate = Gate([Rate(100)], [Limit(50, key=lambda key: key)])
    for at in range(10_000):
        gate.put(at, "large")
    now = 0.0
    for _ in range(40):
        now = gate.next_time(now)
        assert gate.take(now, 1)
    gate.put("small", "small")
    got = [gate.take(now := gate.next_time(now), 1)[0] for _ in range(2)]
    assert "small" in got


def simulated(keys: int, each: int, poll: float | None, rate: Rate) -> float:
    """Seconds until all are taken."""
    gate, now, left = Gate([rate], []), 0.0, keys * each
    for at in range(each):
        for key in range(keys):
            gate.put((at, key), key)
    while left:
        left -= len(gate.take(now, 10_000))
        if left:
            now = now + poll if poll else gate.next_time(now)
    return now


@pytest.mark.parametrize(("poll", "most"), [(0.0005, 1.03), (None, 1.000001)])
def test_two_hundred_keys_get_their_full_rate(poll, most):
    ideal = 99 / 50
    assert ideal * 0.999999 <= simulated(200, 100, poll, Rate("50/s", key=lambda key: key)) <= ideal * most


def test_thousands_a_second_are_reached_though_timers_are_coarse():
    rate = Rate("5000/s")
    assert rate.burst == 100
    gate, now, left = Gate([rate], []), 0.0, 20_000
    for at in range(left):
        gate.put(at, None)
    while left:
        left -= len(gate.take(now, 10_000))
        now += 0.0101
    assert now <= 4.03


def test_a_door_that_a_thousand_rows_share_is_not_tried_by_all_of_them_each_time(monkeypatch):
    """One tenant with a rate, a thousand hosts with theirs: the cost of an item does not grow with the hosts."""
    tried = 0
    opens = Turnstile.opens

    def counted(door, now):
        nonlocal tried
        tried += 1
        return opens(door, now)

    monkeypatch.setattr(Turnstile, "opens", counted)
    gate = Gate([Rate(64, key=key_a), Rate(2, key=key_b)], [])
    for at in range(5000):
        gate.put(at, (0, at % 1000))
    now, taken = 0.0, 0
    while gate:
        now = gate.next_time(now)
        taken += len(gate.take(now, 10))
    assert taken == 5000
    assert tried <= 20 * 5000


@pytest.mark.parametrize("offset", [0.5, 0.25, 1 / 64])
def test_a_row_whose_doors_never_open_together_does_not_starve(offset):
    """Each of its doors has others that wait there and want only that one; the two are never open at the same time."""
    gate = Gate([Rate(1, key=key_a), Rate(1, key=key_b)], [])
    now = 0.0
    gate.put("shift", ("x", "unshared"))
    assert gate.take(now, 1)
    now = offset
    gate.put("shift more", ("unshared", "y"))
    assert gate.take(now, 1)
    names = (f"{at}" for at in range(10**9))

    def refill():
        for kind in ("x", "y"):
            for _ in range(3 - waiting[kind]):
                name = next(names)
                gate.put((kind, name), ("x", name) if kind == "x" else (name, "y"))
                waiting[kind] += 1

    waiting: Counter = Counter()
    refill()
    gate.put(("both", 0), ("x", "y"))
    passed = []
    while now < 400:
        now = max(now + 1 / 1024, gate.next_time(now))
        for kind, *_ in gate.take(now, 10):
            waiting[kind] -= 1
            if kind == "both":
                passed.append(now)
                gate.put(("both", now), ("x", "y"))
        refill()
    assert len(passed) >= 400 / (PATIENCE * 8)
    assert all(after - before <= PATIENCE * 8 for before, after in pairwise(passed))
