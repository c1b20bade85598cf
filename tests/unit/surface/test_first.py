"""A flow over its first items."""

import itertools

import pytest

import plait
from plait.surface.calls import total_of
from plait.surface.first import First, first


async def letters():
    for letter in "abc":
        yield letter


def test_only_those_are_read():
    source = itertools.count()
    assert list(first(plait.flow(source).map(abs, model="serial").batch(2), 5)) == [[0, 1], [2, 3], [4]]
    assert next(source) == 5


@pytest.mark.parametrize(("count", "results"), [(0, []), (2, ["A", "B"]), (9, ["A", "B", "C"])])
def test_of_an_async_source(count, results):
    assert list(first(plait.flow(letters()).map(str.upper, model="threads"), count)) == results


def test_the_flow_itself_stays_as_it_was():
    flow = plait.flow([1, 2, 3]).map(abs, model="serial")
    first(flow, 1)
    assert list(flow) == [1, 2, 3]


def test_how_many(tmp_path):
    (tmp_path / "in.txt").write_text("a\nb\nc\n")
    source = plait.read.lines(tmp_path / "in.txt")
    assert total_of([1, 2]) == total_of(First(range(9), 2)) == len(First(range(9), 2)) == 2
    assert (total_of(source), total_of(First(source, 2)), total_of(First(source, 9))) == (3, 2, 3)
    assert total_of(iter([])) is None
    assert total_of(First(iter([]), 7)) == 7


def test_what_it_is():
    assert repr(First(range(9), 2_000)) == "the first 2,000 of range(0, 9)"
