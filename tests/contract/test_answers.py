"""Contracts 1 to 3: every item once, every item accounted for, in order if asked; under every model."""

import asyncio
import time

import pytest

import plait
from tests.contract.models import cases


def double(x):
    return x * 2


def uneven(x):
    """Later items finish first."""
    time.sleep(0.02 if x % 10 == 0 else 0)
    return x


def sevens(x):
    if x % 7 == 0:
        raise ValueError(x)
    return x


@cases()
def test_the_answers_are_those_of_the_builtin_map(case):
    assert list(case.map(double, range(1500))) == list(map(double, range(1500)))


@cases()
def test_results_keep_the_order_of_the_items(case):
    assert list(case.map(uneven, range(80))) == list(range(80))


@cases()
def test_unordered_results_are_complete(case):
    assert sorted(case.map(uneven, range(80), ordered=False)) == list(range(80))


@cases(lambda case: case.style != "serial" and case.model not in ("auto", "serial"))
def test_unordered_results_do_not_wait_for_a_slow_one(case):
    async def slow_first_async(x):
        await asyncio.sleep(0.3 if x == 0 else 0)
        return x

    def slow_first(x):
        time.sleep(0.3 if x == 0 else 0)
        return x

    fn = slow_first_async if case.is_async else slow_first
    run = plait.map(fn, range(20), model=case.model, workers=2, ordered=False)
    assert list(run)[-1] == 0


@cases()
def test_an_empty_input_gives_nothing(case):
    assert list(case.map(double, [])) == []
    assert list(case.map(double, iter(()))) == []


@cases()
def test_one_item(case):
    assert list(case.map(double, [21])) == [42]


@cases()
@pytest.mark.parametrize("work", ["tiny", "slow"])
def test_each_item_is_handed_to_the_function_once(case, calls, work):
    def noting(x):
        calls.note(x)
        if work == "slow":
            time.sleep(0.002)
        return x

    count = 200
    assert list(case.map(noting, range(count))) == list(range(count))
    assert calls.counts() == {str(x): 1 for x in range(count)}


@cases()
@pytest.mark.parametrize("on_error", ["skip", "return"])
def test_results_and_failures_are_all_the_items(case, on_error):
    run = case.map(sevens, range(100), on_error=on_error)
    results = list(run)
    wrong = [x for x in range(100) if x % 7 == 0]
    if on_error == "skip":
        assert results == [x for x in range(100) if x % 7]
    else:
        assert [r.item if isinstance(r, plait.Failure) else r for r in results] == list(range(100))
    assert sorted(failure.index for failure in run.failures) == wrong
    assert (run.report.items, run.report.failures) == (100 - len(wrong), len(wrong))


@cases()
def test_a_generator_is_read_to_its_end_once(case):
    read = []

    def source():
        for x in range(300):
            read.append(x)
            yield x

    assert list(case.map(double, source())) == [x * 2 for x in range(300)]
    assert read == list(range(300))


@cases()
def test_items_of_every_plain_kind_come_back_the_same(case):
    items = [
        None,
        True,
        3,
        2.5,
        "text",
        b"bytes",
        bytearray(b"x" * 100_000),
        ("a", 1),
        [1, [2]],
        {"k": {1, 2}},
        b"y" * 300_000,
    ]
    assert list(case.map(lambda x: x, items)) == items


@cases()
def test_none_is_a_result_like_any_other(case):
    assert list(case.map(lambda x: None, range(30))) == [None] * 30


@cases()
def test_results_are_given_to_a_consumer_on_an_event_loop(case):
    async def consume():
        awaited = await case.map(double, range(200))
        iterated = [result async for result in case.map(double, range(200))]
        return awaited, iterated

    expected = [x * 2 for x in range(200)]
    assert asyncio.run(consume()) == (expected, expected)


async def counting(n):
    for x in range(n):
        await asyncio.sleep(0)
        yield x


@cases()
def test_an_async_source_for_a_consumer_on_an_event_loop(case):
    async def consume():
        return [result async for result in case.map(double, counting(100))]

    assert asyncio.run(consume()) == [x * 2 for x in range(100)]


@cases()
def test_an_async_source_for_a_consumer_in_a_thread(case):
    assert list(case.map(double, counting(100))) == [x * 2 for x in range(100)]


@cases()
def test_a_starmap_unpacks_its_items(case):
    def add(a, b, c=0):
        return a + b + c

    async def add_async(a, b, c=0):
        return a + b + c

    fn = add_async if case.is_async else add
    run = plait.starmap(fn, [(1, 2), (3, 4, 5), [6, 7]], model=case.model, workers=2)
    assert list(run) == [3, 12, 13]


@cases(lambda case: not case.is_async and case.model not in ("serial", "auto"))
def test_results_come_while_a_later_item_is_still_running(case):
    """What is finished does not wait for a slow item that happens to travel with it."""

    def one_is_slow(x):
        time.sleep(1.0 if x == 100 else 0)
        return x

    began = time.monotonic()
    with case.map(one_is_slow, range(300)) as run:
        for x in run:
            if x == 99:
                came = time.monotonic() - began  # leaving a run waits for its threads
                break
    assert came < 0.9
