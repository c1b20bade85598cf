"""Content keys tell items apart and nothing else; results come back as they were; a rerun replays what is recorded."""

import collections
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from plait.errors import JournalError
from plait.journal.book import Book
from plait.journal.canonical import canonical, key_of
from plait.journal.changes import Unfaithful
from plait.journal.codecs import codec_of
from plait.journal.journal import Journal
from plait.journal.recorded import KEY, Recorded

TEXT = st.text(st.characters(codec=None), max_size=5)  # with halves of surrogate pairs
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.sampled_from([2**63, 2**64, -(2**63)])
    | st.floats()
    | TEXT
    | st.binary(max_size=5)
)
HASHABLE = st.recursive(
    SCALARS, lambda parts: st.tuples(parts) | st.tuples(parts, parts) | st.frozensets(parts), max_leaves=4
)


def within(parts):
    return (
        st.lists(parts, max_size=3)
        | st.lists(parts, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), parts, max_size=3)
        | st.dictionaries(HASHABLE, parts, max_size=3)
        | st.sets(HASHABLE, max_size=3)
        | st.frozensets(HASHABLE, max_size=3)
        | st.binary(max_size=3).map(bytearray)
    )


ITEMS = st.recursive(SCALARS, within, max_leaves=8)


def spelled(value):
    """What tells `value` from others, as text: types, parts, and no order where there is none."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return f"{kind}{sorted(f'{spelled(key)}: {spelled(part)}' for key, part in value.items())}"
    if isinstance(value, set | frozenset):
        return f"{kind}{sorted(map(spelled, value))}"
    if isinstance(value, list | tuple):
        return f"{kind}{[spelled(part) for part in value]}"
    if value != value:
        return f"NaN {struct.pack('>d', value).hex()}"
    return f"{kind} {value!r}"


def reordered(value):
    """An equal value whose dicts and sets were filled the other way round."""
    if isinstance(value, dict):
        return {reordered(key): reordered(part) for key, part in reversed(value.items())}
    if isinstance(value, set | frozenset):
        return type(value)(reversed([reordered(part) for part in value]))
    if isinstance(value, list | tuple):
        return type(value)(reordered(part) for part in value)
    return value


@given(ITEMS, ITEMS)
def test_keys_are_equal_if_and_only_if_the_items_are(one, other):
    assert (canonical(one) == canonical(other)) == (spelled(one) == spelled(other))


@given(ITEMS, st.sampled_from([True, 1, 1.0, "1", b"1", None, [], (), {}, set()]))
def test_a_changed_part_changes_the_key(value, part):
    for around in (lambda x: [x], lambda x: (x,), lambda x: {"a": x}, lambda x: [None, {"b": (x, 1)}]):
        assert (key_of(around(value)) == key_of(around(part))) == (spelled(value) == spelled(part))
    assert len({key_of(value), key_of([value]), key_of((value,)), key_of({"a": value})}) == 4


@given(ITEMS)
def test_order_does_not_count_where_there_is_none(value):
    assert key_of(reordered(value)) == key_of(value)


@pytest.mark.parametrize("codec", ["msgpack", "json", "pickle"])
@given(value=ITEMS)
def test_what_a_codec_takes_comes_back_as_it_was(codec, value):
    box = codec_of(codec)
    try:
        data = box.encode(value)
    except Unfaithful as error:
        data, refusal = None, str(error)
    if data is None:
        assert codec != "pickle"
        assert refusal.startswith(("result", "the key"))
        assert "would be changed" not in refusal, "it does not say what would be"
    else:
        assert spelled(box.decode(data)) == spelled(value)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text() | st.integers(-5, 5), parts),
    max_leaves=10,
)


@given(PLAIN)
def test_plain_data_is_never_refused(value):
    assert codec_of("msgpack").encode(value)


@given(st.lists(st.integers(0, 20), max_size=60), st.lists(st.integers(0, 25), max_size=80))
def test_what_is_recorded_is_taken_in_order(keys, takes):
    recorded = Recorded(b"".join(key.to_bytes(KEY, "big") for key in keys))
    model = collections.defaultdict(list)
    for place, key in enumerate(keys):
        model[key].append(place)
    for key in takes:
        assert recorded.take(key.to_bytes(KEY, "big")) == (model[key].pop(0) if model[key] else None)
        assert recorded.left == sum(map(len, model.values()))


class Runs(RuleBasedStateMachine):
    """Runs over items in any order and number, some cut off, against lists of results by stage and item."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.journal = Journal(Path(self.folder.name) / "run.db")
        self.recorded = collections.defaultdict(list)
        self.count = 0
        self.book = None

    def begin(self):
        self.book = Book.open(self.journal)
        self.taken = collections.Counter()
        self.before = {name: len(results) for name, results in self.recorded.items()}
        self.pages = [self.book.stage(f"stage {number}", number, "f", "") for number in range(2)]

    @precondition(lambda self: self.book is None)
    @rule()
    def run(self):
        self.begin()

    @precondition(lambda self: self.book is not None)
    @rule(stage=st.integers(0, 1), items=st.lists(st.integers(0, 4) | st.sampled_from(["0", 0.0, (0,)]), max_size=12))
    def feed(self, stage, items):
        pages = self.pages[stage]
        for item in items:
            name = stage, spelled(item)
            key = pages.key(item)
            if self.taken[name] < self.before.get(name, 0):
                assert pages.take(key) == (True, self.recorded[name][self.taken[name]])
                self.taken[name] += 1
            else:
                assert pages.take(key) == (False, None)
                self.count += 1
                pages.put(key, [self.count])
                self.recorded[name].append([self.count])

    @precondition(lambda self: self.book is not None)
    @rule(stage=st.integers(0, 1))
    def refuse(self, stage):
        with pytest.raises(JournalError):
            self.pages[stage].put(self.pages[stage].key(0), (1,))

    @precondition(lambda self: self.book is not None)
    @rule()
    def end(self):
        self.book.close()
        self.book = None

    @invariant()
    def counted(self):
        if self.book is not None:
            assert sum(pages.replayed for pages in self.pages) == self.taken.total()

    def teardown(self):
        if self.book is not None:
            self.book.close()
        self.begin()
        for (stage, name), results in self.recorded.items():
            item = {"str '0'": "0", "float 0.0": 0.0, "tuple['int 0']": (0,)}.get(name)
            key = self.pages[stage].key(int(name.split()[1]) if item is None else item)
            assert [self.pages[stage].take(key) for _ in results] == [(True, result) for result in results]
            assert self.pages[stage].take(key) == (False, None)
        self.book.close()
        self.folder.cleanup()


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=25, stateful_step_count=12, suppress_health_check=[HealthCheck.too_slow])
