"""Calls as they are stored: every kind of parameter, code that is older or newer, results that are arguments."""

import datetime as dt
import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest

from plait import ArgumentRefused
from plait.jobs.codec import LARGEST, Misfit, Signature, encode_result

if TYPE_CHECKING:
    from nowhere import Nothing

NOON = dt.datetime(2026, 3, 1, 12)  # noqa: DTZ001 - one without a zone is meant


@dataclass
class Point:
    x: int
    y: list[int] = field(default_factory=list)


def there_and_back(signature, *args, **kwargs):
    return signature.decode(signature.encode(args, kwargs, LARGEST))


def refused(signature, *args, **kwargs):
    with pytest.raises(ArgumentRefused) as caught:
        signature.encode(args, kwargs, LARGEST)
    return str(caught.value)


# --- parameters -----------------------------------------------------------------------------------------------------


def everything(first, /, second: int, third: str = "c", *rest: float, only: bytes, other: int = 5, **named: str):
    return first, second, third, rest, only, other, named


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, 2), {"only": b""}),
        ((1, 2, "x"), {"only": b"", "other": 6}),
        ((1, 2, "x", 1.0, 2.0), {"only": b"", "more": "a", "first": "b"}),
        ((1,), {"second": 2, "only": b"", "third": "x"}),
    ],
)
def test_every_kind_of_parameter(args, kwargs):
    signature = Signature(everything, "everything")
    again, named = there_and_back(signature, *args, **kwargs)
    assert everything(*again, **named) == everything(*args, **kwargs)


def test_parameters_that_are_not_given_are_not_stored():
    data = Signature(everything, "everything").encode((1, 2), {"only": b"x"}, LARGEST)
    assert msgspec.msgpack.decode(data) == {"first": 1, "second": 2, "only": b"x"}


def test_calls_that_do_not_fit():
    signature = Signature(everything, "everything")
    assert "missing a required argument: 'second'; it takes (first, /, second: int" in refused(signature, 1, only=b"")
    assert "multiple values for argument 'second'" in refused(signature, 1, 2, second=3, only=b"")

    def plain(a, b=1): ...

    assert "too many positional arguments; it takes (a, b=1)" in refused(Signature(plain, "plain"), 1, 2, 3)
    assert "got an unexpected keyword argument 'c'" in refused(Signature(plain, "plain"), 1, c=3)


def test_leading_and_named_parameters_that_are_not_arguments():
    def task(connection, path: str, session, size: int = 3): ...

    signature = Signature(task, "task", skip=1, without={"session"})
    assert there_and_back(signature, "a", size=4) == (["a", 4], {})
    assert "it takes (path: str, size: int = 3)" in refused(signature)


def test_annotations_that_cannot_be_understood():
    def task(x: "Nothing", when: "dt.datetime"): ...

    signature = Signature(task, "task")
    assert there_and_back(signature, [1], NOON) == ([[1], NOON], {})
    words = refused(signature, {1}, NOON)
    assert "its annotation 'Nothing' names what is not at the top of its module" in words


def test_wrapped_functions_are_seen_through():
    def twice(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs) * 2

        return wrapper

    @twice
    def task(when: dt.date) -> dt.date: ...

    signature = Signature(task, "task")
    assert there_and_back(signature, NOON.date()) == ([NOON.date()], {})
    assert signature.result(msgspec.msgpack.encode(NOON.date())) == NOON.date()


# --- code that is older or newer ------------------------------------------------------------------------------------


def stored(function, *args, **kwargs):
    return Signature(function, "task").encode(args, kwargs, LARGEST)


def read(function, data):
    args, kwargs = Signature(function, "task").decode(data)
    return function(*args, **kwargs)


def test_a_parameter_may_come_with_a_default_move_or_widen():
    data = stored(lambda path, size: ..., "a", 3)
    assert read(lambda path, size, mode="x": (path, size, mode), data) == ("a", 3, "x")
    assert read(lambda size, path: (path, size), data) == ("a", 3)
    assert read(lambda *, size, path: (path, size), data) == ("a", 3)
    assert read(lambda path, **named: (path, named), data) == ("a", {"size": 3})

    def wider(path: str, size: float | None): ...

    assert Signature(wider, "task").decode(data) == (["a", 3.0], {})


def test_a_parameter_with_a_default_that_comes_before_the_rest_leaves_the_rest_alone():
    data = stored(lambda path, *rest: ..., "a", 1, 2)
    assert read(lambda path, mode="x", *rest: (path, mode, rest), data) == ("a", "x", (1, 2))


def test_what_is_gone_or_was_renamed_or_is_of_another_type_is_a_misfit():
    data = stored(lambda path, size: ..., "a", 3)

    def text(path, size: str): ...

    for function in (lambda path: ..., lambda path, width: ..., lambda path, size, needed: ..., text):
        with pytest.raises(Misfit, match="the stored arguments do not fit task as it is here"):
            Signature(function, "task").decode(data)


# --- chains, groups, results ----------------------------------------------------------------------------------------


def test_the_result_before_it_is_the_first_argument_as_annotated():
    def task(points: list[Point], /, when: dt.datetime, *rest: int): ...

    signature = Signature(task, "task")
    data = signature.encode((NOON, 1, 2), {}, LARGEST, fed=True)
    assert signature.decode_fed(data, [{"x": 1, "y": []}]) == ([[Point(1)], NOON, 1, 2], {})
    with pytest.raises(Misfit, match="the result before it does not fit task"):
        signature.decode_fed(data, "nothing like it")
    with pytest.raises(ArgumentRefused, match="not what its annotation says"):
        signature.encode(("noon",), {}, LARGEST, fed=True)
    with pytest.raises(ArgumentRefused, match=r"missing a required argument: 'when'; .*besides 'points'"):
        signature.encode((), {}, LARGEST, fed=True)


def test_a_rest_of_arguments_begins_with_the_result_before_it():
    signature = Signature(lambda *rest: ..., "task")
    assert signature.decode_fed(signature.encode((2, 3), {}, LARGEST, fed=True), 1) == ([1, 2, 3], {})


def test_who_takes_no_argument_cannot_get_a_result():
    with pytest.raises(ArgumentRefused, match="it has no parameter for the result before it"):
        Signature(lambda: ..., "task").encode((), {}, LARGEST, fed=True)


def test_results_are_read_as_annotated_or_as_plain_data():
    def task() -> Point: ...

    signature = Signature(task, "task")
    assert signature.result(encode_result(Point(1), "task", LARGEST)) == Point(1)
    assert signature.result(encode_result("other", "task", LARGEST)) == "other"
    assert signature.result(None) is None


def test_results_that_cannot_be_stored():
    with pytest.raises(ValueError, match=r"task has run, but what it returned cannot be stored: .*complex.*keep=0"):
        encode_result(1j, "task", LARGEST)
    with pytest.raises(ValueError, match="takes 2,000,005 bytes, and 1,048,576 are allowed"):
        encode_result("x" * 2_000_000, "task", LARGEST)
