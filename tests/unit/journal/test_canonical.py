"""Content keys: the same in every process, different for what is different."""

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import io
import ipaddress
import math
import pathlib
import subprocess
import sys
import threading
import types
import typing
import uuid
import zoneinfo

import msgspec
import numpy
import pytest

from plait.journal.canonical import Unkeyable, canonical, key_of


class Colour(enum.Enum):
    RED = 1
    CRIMSON = RED
    BLUE = 2


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: float
    y: float


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: float
    y: float


class Pair(typing.NamedTuple):
    x: float
    y: float


class Record(msgspec.Struct):
    x: float
    y: float


class Text(str):
    __slots__ = ()


def flow_of(*values):
    return [key_of(value) for value in values]


UTC = datetime.UTC
PARIS = zoneinfo.ZoneInfo("Europe/Paris")
SUMMER = datetime.datetime.fromisoformat("2024-07-01T12:00:00")

#: No two of these are the same item.
DIFFERENT = [
    None, False, 0, 0.0, -0.0, 0j, "", b"", (), [], {}, set(), frozenset(), bytearray(), memoryview(b""), ...,
    True, 1, 1.0, "1", b"1", [1], (1,), {1}, frozenset({1}), {1: None}, {"1": None}, {True: None}, {1.0: None},
    bytearray(b"1"), memoryview(b"1"), array.array("b", [49]), 1 + 0j,
    ((1,),), [(1,)], ([1],), [[1]], (1, ()), (1, None), {"a": (1,)}, {"a": [1]}, {"a": {1}},
    [1, 2], [2, 1], ["12"], ["1", "2"], [["1"], "2"], "a", "A", "\ud800", "\udfff", ["\ud800"], {"\ud800": 1},
    2**63, 2**64, -(2**63), -(2**63) - 1, 2**64 + 1, 10**5000, -(10**5000), float("inf"), float("-inf"), float("nan"),
    Colour.RED, Colour.BLUE, Number.ONE, Word.A, Access.READ, Access.WRITE, Access.READ | Access.WRITE,
    Point(1, 2), Point(1.0, 2), Point(2, 1), Slotted(1, 2), Pair(1, 2), (1, 2), Record(1, 2), {"x": 1, "y": 2},
    collections.OrderedDict(x=1, y=2), collections.OrderedDict(y=2, x=1), collections.Counter(x=1, y=2),
    collections.deque([1, 2]), collections.deque([1, 2], 2), types.SimpleNamespace(x=1, y=2),
    types.MappingProxyType({"x": 1, "y": 2}), range(3), range(0, 3, 2), slice(0, 3, 1),
    pathlib.PurePosixPath("a"), pathlib.PosixPath("a"), pathlib.PureWindowsPath("a"), pathlib.PosixPath("a/b"),
    datetime.date(2024, 7, 1), SUMMER, SUMMER.replace(fold=1), SUMMER.replace(tzinfo=UTC),
    SUMMER.replace(tzinfo=PARIS), SUMMER.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    SUMMER.isoformat(), SUMMER.time(), datetime.timedelta(1), datetime.timedelta(0, 1), UTC, PARIS.key,
    decimal.Decimal(1), decimal.Decimal("1.0"), fractions.Fraction(1, 2), uuid.UUID(int=1),
    ipaddress.ip_address("::1"), ipaddress.ip_address("127.0.0.1"), ipaddress.ip_network("127.0.0.1"),
    numpy.int32(1), numpy.int64(1), numpy.float64(1), numpy.bool_(True), numpy.str_("1"), numpy.array(1),
    numpy.array([1, 2], "i4"), numpy.array([1, 2], ">i4"), numpy.array([1, 2], "i8"), numpy.array([[1, 2]], "i4"),
    numpy.array([[1], [2]], "i4"), numpy.array([1, 2], "f8"), numpy.array([1, 2], "O"), numpy.array(["1", "2"]),
    numpy.array([(1, 2)], "i4,i4"), numpy.array([(1, 2)], "i4,i8"), numpy.array([1, 2], "M8[s]"),
    numpy.array([1, 2], "M8[D]"), numpy.array([1, 2], "g"), numpy.array([1, 3], "g"), numpy.longdouble(1),
    [numpy.array([1])], numpy.array([None, (1,)], "O"), numpy.array([None, [1]], "O"),
]  # fmt: skip


def test_what_is_different_has_another_key():
    keys = {}
    for value in DIFFERENT:
        key = key_of(value)
        assert key not in keys, f"{value!r} and {keys.get(key)!r} have one key"
        keys[key] = value


def test_keys_have_one_length():
    assert {len(key_of(value)) for value in DIFFERENT} == {16}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}),
        ({1: "a", "b": 2, None: 3}, {None: 3, "b": 2, 1: "a"}),
        ({"\ud800": 1, "a": (2,)}, {"a": (2,), "\ud800": 1}),
        ({5, 300, "a", None}, {"a", None, 300, 5}),
        (Colour.RED, Colour.CRIMSON),
        (Point(1, {2, 3}), Point(1, {3, 2})),
        (numpy.array([[1, 2], [3, 4]]), numpy.asfortranarray([[1, 2], [3, 4]])),
        (numpy.arange(10)[::2], numpy.array([0, 2, 4, 6, 8])),
        (float("nan"), float("nan")),
        (SUMMER.replace(tzinfo=PARIS), SUMMER.replace(tzinfo=zoneinfo.ZoneInfo.no_cache("Europe/Paris"))),
    ],
)
def test_what_is_the_same_has_one_key(one, other):
    assert key_of(one) == key_of(other)


def test_bytes_between_the_fields_of_a_structured_array_do_not_count():
    dtype = numpy.dtype([("a", "i1"), ("b", "i8")], align=True)
    one, other = (numpy.frombuffer(bytes([fill]) * 32, "u1").copy().view(dtype) for fill in (0, 255))
    for field, value in (("a", 1), ("b", 2)):
        one[field] = other[field] = value
    assert one.tobytes() != other.tobytes()
    assert key_of(one) == key_of(other)


def test_a_memory_map_counts_by_its_content(tmp_path):
    numpy.save(tmp_path / "a.npy", numpy.arange(10))
    mapped = numpy.load(tmp_path / "a.npy", mmap_mode="r")
    assert key_of(mapped[2:4]) == key_of(mapped[2:4])
    assert key_of(mapped[2:4]) != key_of(mapped[3:5])


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (1, "4a9e6f9b8d43f6ad008f8c291929dee2"),
        ("text", "102f6aad2856741e519a5c26cfed8cdc"),
        ({"b": [1.5, None], "a": True}, "bad9d4204288a6975f6da2f357306c8b"),
        ((1, (2, "x")), "9aac5bdf28e11da59eee053a8aa3a934"),
        ({1: b"x"}, "4929f0727c641f622329b1bb862aeabb"),
        (("a", b"b", 2.5, False), "619353d96092ed43e345689c26703e2f"),
        (decimal.Decimal("1.50"), "74ec9d46fcb31824ee6a1c553fb32dae"),
        (numpy.arange(3, dtype="<i4"), "e85b43656f0bc6c2f25dda60219c9976"),
    ],
)
def test_keys_stay_what_they_are(value, key):
    """A journal outlives versions of Plait, Python, msgspec and NumPy: what changes these runs every item again."""
    assert key_of(value).hex() == key


def test_keys_are_the_same_in_another_process():
    values = "[1, 'a', {'x', 'y', 'z'}, {1: {2, 3}, 'a': frozenset('abc')}, (1.5, None), 10**30]"
    script = f"from plait.journal.canonical import key_of; print(key_of({values}).hex())"
    said = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {key_of(eval(values)).hex().encode() + b"\n"}


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (threading.Lock(), "lock"),
        (object(), "object"),
        (lambda: 1, "function"),
        (int, "type"),
        (Text("a"), "Text"),
        (collections.defaultdict(list), "defaultdict"),
        (io.BytesIO(), "BytesIO"),
        ({"a": [(threading.Lock(),)]}, "lock"),
        (Point(1, threading.Lock()), "lock"),
        (numpy.ma.masked_array([1, 2], [0, 1]), "MaskedArray"),
        (numpy.array([object()]), "object"),
        ({object(): 1}, "object"),
        (ValueError("a"), "ValueError"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_has_no_key_is_named(value, names):
    with pytest.raises(Unkeyable, match=names):
        key_of(value)


def test_a_value_that_contains_itself_is_refused():
    for loop in ([], {}):
        loop.append(loop) if type(loop) is list else loop.update(a=loop)
        with pytest.raises(Unkeyable, match="200 levels"):
            key_of(loop)


def test_depth_is_bounded_where_it_says():
    def nested(levels, around):
        value = 1
        for _ in range(levels):
            value = around(value)
        return value

    for around in (lambda value: [value], lambda value: (value,), lambda value: {"a": value}, lambda value: {1: value}):
        assert key_of(nested(199, around)) != key_of(nested(198, around))
        with pytest.raises(Unkeyable):
            key_of(nested(300, around))


def test_a_field_that_was_never_set_is_named():
    point = Slotted.__new__(Slotted)
    with pytest.raises(Unkeyable, match=r"field 'x'.*Slotted"):
        key_of(point)


def test_plain_data_is_encoded_as_it_is():
    assert canonical({"b": 1, "a": [None]}) == msgspec.msgpack.encode({"a": [None], "b": 1})


class Derived(Point):
    """Undecorated: what it adds is no field."""

    @functools.cached_property
    def length(self):
        return math.hypot(self.x, self.y)


class Carrying(msgspec.Struct, dict=True):
    x: int


@pytest.mark.parametrize("make", [Point, Derived, lambda x, y: Carrying(x)])
def test_a_record_is_known_by_its_fields_only_if_it_has_nothing_else(make):
    plain, other, more = make(1, 2), make(2, 2), make(1, 2)
    more.extra = "x"
    assert key_of(plain) == key_of(make(1, 2)) != key_of(other)
    with pytest.raises(Unkeyable, match=r"what a .*(Point|Derived|Carrying) consists of is not known"):
        key_of(more)


def test_what_a_record_has_computed_of_its_fields_does_not_count():
    plain, asked = Derived(3, 4), Derived(3, 4)
    assert asked.length == 5
    assert key_of(plain) == key_of(asked)
