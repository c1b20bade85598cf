"""Arguments as they are stored: what comes back is what was given, or it is refused where it is given."""

import collections
import dataclasses
import datetime as dt
import enum
import functools
import math
import typing
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from plait import ArgumentRefused
from plait.jobs.codec import LARGEST, Signature


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Word(str):
    __slots__ = ()


@dataclasses.dataclass
class Point:
    x: int
    y: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Loose:
    x: int
    extra: Any = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass
class Quarrelsome:
    x: int

    def __eq__(self, other):
        raise RuntimeError("never compare me")


@dataclasses.dataclass
class Even:
    x: int

    def __post_init__(self):
        if self.x % 2:
            raise KeyError("odd")


class Record(msgspec.Struct):
    at: dt.datetime
    what: Any = None


class Pair(NamedTuple):
    a: int
    b: str


class Options(typing.TypedDict):
    size: int


def taking(kind=Any, name="x"):
    def function(x): ...

    function.__annotations__ = {"x": kind} if kind is not Any else {}
    return Signature(function, "task")


def there_and_back(signature, *args, **kwargs):
    return signature.decode(signature.encode(args, kwargs, LARGEST))


def refused(signature, *args, **kwargs):
    with pytest.raises(ArgumentRefused) as caught:
        signature.encode(args, kwargs, LARGEST)
    return str(caught.value)


NOON = dt.datetime(2026, 3, 1, 12)  # noqa: DTZ001 - one without a zone is meant


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Any, {"a": [1, 2.5, None, True, b"x", "y"], 3: {(1, 2): "tuple keys"}}),
        (int, 2**64 - 1),
        (int, -(2**63)),
        (float, math.inf),
        (dt.datetime, NOON),
        (dt.datetime, NOON.replace(tzinfo=dt.UTC)),
        (dt.date, NOON.date()),
        (dt.time, dt.time(1, 2, 3)),
        (dt.timedelta, dt.timedelta(days=-3, microseconds=1)),
        (uuid.UUID, uuid.UUID(int=7)),
        (Decimal, Decimal("1.10")),
        (bytes, b"\0\xff"),
        (bytearray, bytearray(b"x")),
        (Color, Color.RED),
        (Level, Level.LOW),
        (Path, Path("/a/b")),
        (list[Path], [Path("a")]),
        (Path | None, None),
        (Point, Point(1, [2])),
        (Point | None, Point(1, [2])),
        (dict[str, list[Point]], {"a": [Point(1)]}),
        (Record, Record(NOON, {"a": [1]})),
        (Pair, Pair(1, "b")),
        (Options, {"size": 1}),
        (tuple[int, ...], (1, 2, 3)),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (frozenset[str], frozenset({"a"})),
        (dict[tuple[int, int], str], {(1, 2): "a"}),
        (int | str | None, "1"),
        (typing.Literal["a", "b"], "b"),
        (Quarrelsome | None, None),
    ],
    ids=lambda value: repr(value).partition(" object at ")[0][:30],
)
def test_what_comes_back_is_what_was_given(kind, value):
    (again,), named = there_and_back(taking(kind), value)
    assert again == value
    assert type(again) is type(value)
    assert not named


def test_nan_comes_back():
    (again,), _ = there_and_back(taking(list[float]), [math.nan, 1.0])
    assert math.isnan(again[0])


def test_objects_that_cannot_be_compared_are_compared_by_their_parts():
    (again,), _ = there_and_back(taking(Quarrelsome), Quarrelsome(3))
    assert type(again) is Quarrelsome
    assert again.x == 3


def test_a_time_with_a_zone_is_the_same_instant_in_utc():
    given = NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))
    (again,), _ = there_and_back(taking(dt.datetime), given)
    assert again == given
    assert again.tzinfo == dt.UTC


@pytest.mark.parametrize(
    ("kind", "value", "comes_back"),
    [
        (float, 1, 1.0),
        (list[int], (1, 2), [1, 2]),
        (typing.Sequence[int], (1, 2), [1, 2]),
        (set[int], frozenset({1}), {1}),
        (str, Word("x"), "x"),
        (int, Level.LOW, 1),
        (dict[str, int], collections.Counter("ab"), {"a": 1, "b": 1}),
        (bytes, bytearray(b"x"), b"x"),
        (Decimal, 1, Decimal(1)),
    ],
    ids=lambda value: repr(value).partition(" object at ")[0][:30],
)
def test_an_annotation_decides_between_types_that_are_alike(kind, value, comes_back):
    (again,), _ = there_and_back(taking(kind), value)
    assert again == comes_back
    assert type(again) is type(comes_back)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Any, (1, 2), "x has a tuple that would come back as a list: annotate the parameter"),
        (dict[str, Any], {"size": (1, 2)}, "x has a tuple that would come back as a list"),
        (Any, {1, 2}, "x has a set that would come back as a list"),
        (Any, Color.RED, "x has a Color that would come back as a str"),
        (Any, Level.LOW, "x has a Level that would come back as an int"),
        (Any, NOON, "x has a datetime that would come back as a str"),
        (Any, uuid.UUID(int=1), "x has a UUID that would come back as a str"),
        (Any, Point(1), "x has a Point that would come back as a dict"),
        (Any, Pair(1, "b"), "x has a Pair that would come back as a list"),
        (Any, Path("a"), "x has a PosixPath that would come back as a str"),
        (Any, collections.OrderedDict(a=1), "x has an OrderedDict that would come back as a dict"),
        (Any, bytearray(b"x"), "x has a bytearray that would come back as a bytes"),
        (uuid.UUID, str(uuid.UUID(int=1)), "x has a str that would come back as a UUID"),
        (Decimal, 0.1, "x has 0.1 that would come back as Decimal('0.1')"),
        (Loose, Loose(1, {2}), "x has a set that would come back as a list"),
        (Loose, Loose(1, (2,)), "x has a tuple that would come back as a list"),
        (Record, Record(NOON, {2}), "x has a set that would come back as a list"),
        (Options, {"size": 1, "more": 2}, "x has a dict of 2 entries that would come back with 1"),
        (Any, {Color.RED: 1, "red": 2}, "x has a dict of 2 entries that would come back with 1"),
        (int, "1", "Expected `int`, got `str` - at `$.x`"),
        (int, True, "Expected `int`, got `bool` - at `$.x`"),
        (str, None, "Expected `str`, got `None` - at `$.x`"),
        (typing.Literal["a"], "c", "an argument is not what its annotation says"),
        (int, 2**64, "x cannot be stored: it has a whole number of more than 64 bits; pass that as text"),
        (Any, "\ud800", "x cannot be stored: 'utf-8' codec can't encode"),
        (Any, {"\ud800": 1}, "x cannot be stored: 'utf-8' codec can't encode"),
        (
            Any,
            print,
            "x cannot be stored: values of type builtin_function_or_method are not supported. Pass plain data",
        ),
        (Any, 1j, "x cannot be stored: values of type complex"),
        (Any, iter([1]), "x cannot be stored: values of type list_iterator"),
    ],
    ids=lambda value: repr(value).partition(" object at ")[0][:30],
)
def test_what_would_be_something_else_is_refused_with_the_parameter_and_what_to_do(kind, value, words):
    assert words in refused(taking(kind), value)


def test_what_contains_itself_is_refused():
    endless = []
    endless.append(endless)
    deep = functools.reduce(lambda inner, _: [inner], range(100_000), [])
    for value in (endless, deep):
        assert "x cannot be stored: it contains itself, or is nested too deeply" in refused(taking(), value)
    while deep:  # taken apart here: letting go of it all at once may need as deep a stack
        deep = deep.pop()


def test_a_class_that_will_not_be_made_again():
    even = Even(2)
    even.x = 3
    assert "an argument cannot be made again: KeyError('odd')" in refused(taking(Even), even)


def test_large_arguments_are_refused_with_their_size():
    words = refused(taking(), b"x" * (300 << 20))
    assert "its arguments take 314,572," in words
    assert "1,048,576 are allowed" in words
    assert "pass the path or key" in words


def test_models_of_pydantic_come_back():
    pydantic = pytest.importorskip("pydantic")

    class User(pydantic.BaseModel):
        name: str
        born: dt.date
        tags: frozenset[str] = frozenset()
        inner: Any = pydantic.Field(default=None, alias="in")

    user = User(name="ada", born=dt.date(1815, 12, 10), tags=frozenset({"x"}))
    (again,), _ = there_and_back(taking(User), user)
    assert again == user
    assert "x has a User that would come back as a dict" in refused(taking(), user)
    assert "would come back" in refused(taking(User), User(name="ada", born=NOON.date(), **{"in": (1, 2)}))


def test_an_annotation_of_which_nothing_can_be_stored():
    class Mixed(enum.Enum):
        ONE = 1
        TWO = "two"

    words = refused(taking(Mixed), Mixed.ONE)
    assert "x has a Mixed that would come back as an int: values of its annotation" in words
    assert "Mixed cannot be stored as such; pass plain data" in words
