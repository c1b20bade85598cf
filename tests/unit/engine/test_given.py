"""The items that a flow was given: how long reading them took."""

import asyncio
import time

import pytest

from plait.engine.figures import Figures
from plait.engine.given import given


def numbers(count, seconds):
    for number in range(count):
        time.sleep(seconds)
        yield number


async def numbers_async(count, seconds):
    for number in range(count):
        await asyncio.sleep(seconds)
        yield number


def told(items):
    made = given(items)
    made.figures = Figures("first")
    return made


@pytest.mark.parametrize(("inside", "outside", "least", "most"), [(0.02, 0.0, 0.3, 1.0), (0.0, 0.02, 0.0, 0.15)])
def test_the_time_inside_of_a_source_is_counted(inside, outside, least, most):
    source, began = told(numbers(25, inside)), time.perf_counter()
    for _ in source:
        time.sleep(outside)
    took = time.perf_counter() - began
    assert least <= source.figures.reading <= max(most * took, 0.15)


def test_that_of_an_async_source_is_counted():
    async def read(source, seconds):
        async for _ in source:
            await asyncio.sleep(seconds)

    slow, quick = told(numbers_async(10, 0.02)), told(numbers_async(10, 0.0))
    asyncio.run(read(slow, 0.0))
    asyncio.run(read(quick, 0.02))
    assert slow.figures.reading >= 0.19
    assert quick.figures.reading < 0.1


@pytest.mark.parametrize("items", [[1, 2], (1, 2), range(2)])
def test_what_is_there_already_takes_no_time(items):
    source = told(items)
    assert len(list(source)) == 2
    assert source.figures.reading == 0.0


def test_nothing_is_counted_for_nobody():
    assert list(given(numbers(3, 0.0))) == [0, 1, 2]
