"""What a codec would change is refused, with the place, the change and the remedy."""

import collections
import dataclasses
import datetime
import decimal
import enum
import math
import pathlib
import threading

import msgspec
import numpy
import pytest

from plait.journal.changes import Unfaithful
from plait.journal.codecs import codec_of


class Number(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Point:
    x: int


class Text(str):
    __slots__ = ()


class Odd:
    """Pickles, and comes back as something else."""

    def __reduce__(self):
        return str, ("odd",)


class Fragile:
    def __reduce__(self):
        return int, ("not a number",)


def refused(codec, value):
    with pytest.raises(Unfaithful) as caught:
        codec_of(codec).encode(value)
    return caught.value


PLAIN = [
    None,
    True,
    0,
    -1.5,
    "ä\0\u2028",
    [],
    {},
    [[], [{}]],
    {"a": [1, 2.0, {"b": None}], "": False},
    2**63,
    -(2**63),
    math.pi,
    1e308,
    5e-324,
    -0.0,
]


@pytest.mark.parametrize("codec", ["msgpack", "json", "pickle"])
@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_data_comes_back(codec, value):
    box = codec_of(codec)
    again = box.decode(box.encode(value))
    assert repr(again) == repr(value)


@pytest.mark.parametrize("value", [b"\xff", math.inf, {1: "a", 2.5: b"", None: 1, b"k": 2}, {"a": [b""]}])
def test_message_pack_holds_more_than_json(value):
    box = codec_of("msgpack")
    assert repr(box.decode(box.encode(value))) == repr(value)
    refused("json", value)


def test_nan_comes_back():
    box = codec_of("msgpack")
    assert math.isnan(box.decode(box.encode([math.nan]))[0])


def test_json_holds_integers_of_any_size():
    box = codec_of("json")
    assert box.decode(box.encode([10**300])) == [10**300]


@pytest.mark.parametrize(
    ("value", "says", "instead"),
    [
        ((1, 2), "result is a tuple, which MessagePack makes a list", "a list"),
        ({"pos": (1, 2)}, "result['pos'] is a tuple, which MessagePack makes a list", "a list"),
        ([1, {"a": [{2}]}], "result[1]['a'][0] is a set, which MessagePack makes a list", "a sorted list"),
        ({"n": Number.ONE}, "result['n'] is a Number, which MessagePack makes its value", "its .value"),
        ([Text("a")], "result[0] is a Text, which MessagePack cannot hold", "plain data"),
        (bytearray(b"a"), "result is a bytearray, which MessagePack makes bytes", "bytes(...)"),
        (collections.OrderedDict(a=1), "result is an OrderedDict, which MessagePack makes a dict", "dict(...)"),
        (Point(1), "result is a Point, which MessagePack makes a dict", "dataclasses.asdict(...)"),
        (
            datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
            "result is a datetime, which MessagePack makes text",
            ".isoformat()",
        ),
        (decimal.Decimal(1), "result is a Decimal, which MessagePack cannot hold", "plain data"),
        (pathlib.Path("a"), "result is a PosixPath, which MessagePack makes text", "str(...)"),
        (numpy.float64(1), "result is a float64 of NumPy, which MessagePack cannot hold", ".tolist()"),
        ({"a": numpy.zeros(2)}, "result['a'] is a ndarray of NumPy, which MessagePack cannot hold", ".tolist()"),
        (2**64, "result is an integer of more than 64 bits, which MessagePack cannot hold", "str(...)"),
        ("\ud800", "result is text with half a surrogate pair, which MessagePack cannot hold", "os.fsencode(...)"),
        ({(1, 2): 3}, "the key (1, 2) of result is a tuple, which MessagePack makes a list", "a list"),
        ({"a": {2**70: 3}}, "the key 1180591620717411303424 of result['a'] is an integer of more", "str(...)"),
        (threading.Lock(), "result is a lock, which MessagePack cannot hold", "plain data"),
        (msgspec.msgpack.Ext(1, b""), "result is an Ext, which MessagePack cannot hold", "plain data"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_message_pack_would_change_is_named(value, says, instead):
    error = refused("msgpack", value)
    assert str(error).startswith(says)
    assert error.instead == instead


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1: "a"}, "the key 1 of result is an int, which JSON makes text"),
        ([math.nan], "result[0] is nan, which JSON cannot hold"),
        ([-math.inf], "result[0] is -inf, which JSON cannot hold"),
        ({"a": b"x"}, "result['a'] is bytes, which JSON cannot hold"),
        (("a",), "result is a tuple, which JSON makes a list"),
        ("\ud83d\ude00", "result is text with half a surrogate pair, which JSON cannot hold"),
        (1 << 20_000, "result is an integer of too many digits for JSON"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_what_json_would_change_is_named(value, says):
    assert str(refused("json", value)).startswith(says)


@pytest.mark.parametrize("codec", ["msgpack", "json"])
def test_what_contains_itself_is_refused(codec):
    loop = {"a": []}
    loop["a"].append(loop)
    assert "200 levels" in str(refused(codec, loop))


@pytest.mark.parametrize(
    "value", [(1, 2), {1, 2}, Point(1), Number.ONE, numpy.float64(1), Text("a"), 10**100, Ellipsis]
)
def test_pickle_holds_nearly_everything(value):
    box = codec_of("pickle")
    for _ in range(2):
        again = box.decode(box.encode(value))
        assert (type(again), again) == (type(value), value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (threading.Lock(), "result is a lock that cannot be pickled"),
        (Fragile(), "result is a Fragile that cannot be pickled"),
        (Odd(), "result is an Odd, and pickle gives back a str"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_what_pickle_cannot_hold_is_refused(value, says):
    assert str(refused("pickle", value)).startswith(says)
