"""Whatever is stored comes back equal and of the same types, or is refused where it was given."""

import datetime as dt
import enum
import math
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from plait import ArgumentRefused
from plait.jobs.codec import LARGEST, Signature


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclass
class Record:
    x: Any
    y: Any = field(default=None, compare=False)


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
TIMES = st.datetimes(timezones=st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=-7))]))
SCALARS = [
    (str, TEXT),
    (int, st.integers(-(2**63), 2**64 - 1)),
    (float, st.floats()),
    (bool, st.booleans()),
    (None, st.none()),
    (bytes, st.binary(max_size=8)),
    (dt.datetime, TIMES),
    (dt.date, st.dates()),
    (dt.timedelta, st.timedeltas(dt.timedelta(days=-(10**6)), dt.timedelta(days=10**6))),
    (uuid.UUID, st.uuids()),
    (Decimal, st.decimals(allow_nan=False)),
    (Color, st.sampled_from(Color)),
    (Level, st.sampled_from(Level)),
    (PurePosixPath, st.just(PurePosixPath("a/b"))),
]


def containers(inner):
    kind, values = inner
    keyed = st.dictionaries(TEXT, values, max_size=3)
    lists = st.lists(values, max_size=3)
    pairs = [(list[kind], lists), (tuple[kind, ...], lists.map(tuple)), (dict[str, kind], keyed)]
    return st.sampled_from([*pairs, (kind | None if kind is not None else None, st.none() | values)])


TYPED = st.recursive(st.sampled_from(SCALARS), lambda inner: inner.flatmap(containers), max_leaves=3)
CASES = TYPED.flatmap(lambda typed: st.tuples(st.just(typed[0]), typed[1]))
ANYTHING = st.recursive(
    st.one_of([values for _, values in SCALARS]) | st.text(max_size=3) | st.integers() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(TEXT | st.integers(), inner, max_size=3)
        | st.builds(Pair, inner, inner)
        | st.builds(Record, inner, inner)
        | st.frozensets(TEXT | st.integers(0, 9), max_size=3)
    ),
    max_leaves=6,
)


def taking(kind):
    def task(x, y=None): ...

    task.__annotations__ = {} if kind is Any else {"x": kind, "y": kind}
    return Signature(task, "task")


def assert_same(value, again):
    assert type(value) is type(again)
    if isinstance(value, dict):
        assert_same(list(value), list(again))
        assert_same(list(value.values()), list(again.values()))
    elif isinstance(value, list | tuple):
        assert len(value) == len(again)
        for one, other in zip(value, again, strict=True):
            assert_same(one, other)
    elif isinstance(value, Record):
        assert_same([value.x, value.y], [again.x, again.y])
    elif isinstance(value, float) and math.isnan(value):
        assert math.isnan(again)
    else:
        assert value == again


@given(CASES)
def test_annotated_values_come_back(case):
    kind, value = case
    signature = taking(kind)
    args, kwargs = signature.decode(signature.encode((value, value), {}, LARGEST))
    assert_same([value, value], args)
    assert not kwargs


@given(ANYTHING, st.sampled_from([Any, list[Any], dict[str, Any], tuple[Any, ...], Record, Pair, object, list, dict]))
def test_anything_comes_back_the_same_or_is_refused(value, kind):
    signature = taking(kind)
    try:
        data = signature.encode((value,), {}, LARGEST)
    except ArgumentRefused:
        return
    args, kwargs = signature.decode(data)
    assert_same([value], args)
    assert not kwargs


@given(st.data())
def test_arguments_stand_where_they_stood(data):
    positional = data.draw(st.lists(st.integers(0, 9), max_size=4))
    names = st.sampled_from(["b", "c", "only", "more", "other"])
    named = data.draw(st.dictionaries(names, st.integers(0, 9), max_size=3))

    def task(a, /, b, c=3, *rest, only=4, **kwargs):
        return a, b, c, rest, only, kwargs

    signature = Signature(task, "task")
    try:
        expected = task(*positional, **named)
    except TypeError:
        expected = None
    try:
        stored = signature.encode(positional, named, LARGEST)
    except ArgumentRefused:
        stored = b""
    assert bool(stored) == (expected is not None)
    if not stored:
        return
    args, kwargs = signature.decode(stored)
    assert task(*args, **kwargs) == expected
