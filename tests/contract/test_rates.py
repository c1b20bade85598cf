"""`rate=` and `limit=` hold over all workers, in a map and in a stage of a flow, under every model."""

import os
import threading
import time
from collections import Counter, defaultdict

import pytest

import plait
from plait import Limit, Rate, Retry
from tests.contract.models import cases

#: Seconds by which a call may be noted after it had leave to begin, on a busy machine.
LATE = 0.25


def most_within(stamps, seconds):
    """How many of `stamps`, which are in order, lie within `seconds` at most."""
    most, first = 0, 0
    for last, at in enumerate(stamps):
        while stamps[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def assert_never_faster(stamps, per_second, burst):
    stamps = sorted(stamps)
    assert stamps[-1] - stamps[0] >= (len(stamps) - 1 - burst) / per_second - LATE
    assert most_within(stamps, 0.3) <= burst + per_second * (0.3 + LATE)


def assert_at_most(words, limit, key=lambda x: 0):
    """`words`, in the order of their being noted, tell of items that begin (`+`) and end (`-`)."""
    now, peak = Counter(), Counter()
    for word in words:
        which = key(int(word[1:]))
        now[which] += 1 if word[0] == "+" else -1
        peak[which] = max(peak[which], now[which])
    assert max(peak.values()) <= limit, peak
    return peak


@cases()
@pytest.mark.parametrize("flow", [False, True], ids=["map", "flow"])
def test_no_more_attempts_begin_than_the_rate_gives(case, calls, flow):
    options = {"model": case.model, "workers": 2, "rate": "100/s"}
    note = case.function(calls.note)
    if flow:
        run = plait.flow(range(60)).map(abs).map(note, **options).map(repr).run()
    else:
        run = plait.map(note, range(60), **options)
    run.wait()
    assert len(calls.noted()) == 60
    assert_never_faster([at for _, at in calls.noted()], 100, 2)


@cases()
def test_a_burst_begins_at_once(case, calls):
    began = time.monotonic()
    case.map(calls.note, range(30), rate=Rate("1/min", burst=30)).wait()
    assert time.monotonic() - began < 10
    assert len(calls.noted()) == 30


@cases()
def test_each_key_has_the_rate_for_itself(case, calls):
    rate = Rate("20/s", burst=1, key=lambda x: x % 5)
    began = time.monotonic()
    case.map(calls.note, range(50), rate=rate).wait()
    assert time.monotonic() - began < 6, "keys waited for each other"
    stamps = defaultdict(list)
    for word, at in calls.noted():
        stamps[int(word) % 5].append(at)
    for each in stamps.values():
        assert len(each) == 10
        assert_never_faster(each, 20, 1)


@cases()
def test_several_rates_hold_at_once(case, calls):
    rates = [Rate("200/s"), Rate("50/s", burst=1, key=lambda x: x % 2)]
    case.map(calls.note, range(60), rate=rates).wait()
    assert_never_faster([at for _, at in calls.noted()], 100, 4)


@cases()
def test_attempts_count(case, calls):
    def third_time(x):
        calls.note(x)
        if calls.counts()[str(x)] < 3:
            raise OSError("again")
        return x

    run = case.map(third_time, range(15), rate="60/s", retries=Retry(2, backoff=0))
    assert list(run) == list(range(15))
    assert calls.counts() == {str(x): 3 for x in range(15)}
    assert_never_faster([at for _, at in calls.noted()], 60, 2)


@cases()
@pytest.mark.parametrize("flow", [False, True], ids=["map", "flow"])
def test_no_more_items_are_in_progress_than_the_limit(case, calls, flow):
    def work(x):
        calls.note(f"+{x}")
        time.sleep(0.002)
        calls.note(f"-{x}")
        return x

    options = {"model": case.model, "workers": 2, "limit": 2}
    if flow:
        run = plait.flow(range(60)).map(abs).map(case.function(work), **options).batch(7).run()
    else:
        run = plait.map(case.function(work), range(60), **options)
    run.wait()
    assert len(calls.noted()) == 120
    assert_at_most([word for word, _ in calls.noted()], 2)


@cases(lambda case: case.model not in ("serial", "auto"))
def test_each_key_has_the_limit_for_itself(case, calls):
    def work(x):
        calls.note(f"+{x}")
        time.sleep(0.003)
        calls.note(f"-{x}")
        return x

    limits = [Limit(6), Limit(1, key=lambda x: x % 4)]
    assert list(case.map(work, range(60), width=8, limit=limits)) == list(range(60))
    words = [word for word, _ in calls.noted()]
    assert_at_most(words, 1, key=lambda x: x % 4)
    assert_at_most(words, 6)


@cases()
def test_one_key_does_not_hold_up_the_others(case, calls):
    """All of the first sixty have the same key; those behind it need not wait for them."""
    rate = Rate("30/s", burst=1, key=lambda x: x < 60)
    case.map(calls.note, range(62), rate=rate).wait()
    order = [int(word) for word, _ in calls.noted()]
    assert order.index(60) < 20


@cases()
def test_an_item_that_waits_for_its_retry_is_not_in_progress(case, calls):
    def first_fails(x):
        calls.note(x)
        if x == 0 and calls.counts()["0"] < 2:
            raise OSError("again")
        return x

    retries = Retry(1, backoff=0.3, jitter=0)
    run = case.map(first_fails, range(20), limit=1, retries=retries, ordered=False)
    assert sorted(run) == list(range(20))
    assert calls.noted()[-1][0] == "0"


@cases()
@pytest.mark.parametrize("option", [{"rate": Rate("1/s", key=lambda x: 1 / x)}, {"limit": Limit(2, key=lambda x: [x])}])
def test_a_key_function_that_raises_is_the_items_failure(case, option):
    run = case.map(abs, [0, 0] if "rate" in option else [0, 1], on_error="skip", **option)
    assert list(run) == []
    assert [type(failure.exception) for failure in run.failures] == [
        ZeroDivisionError if "rate" in option else TypeError
    ] * 2


@cases()
def test_a_failed_item_leaves_the_room_of_its_limit(case):
    def fails(x):
        raise OSError(x)

    run = case.map(fails, range(30), limit=2, on_error="skip")
    assert list(run) == []
    assert len(run.failures) == 30


@cases(lambda case: case.in_processes)
def test_a_lost_worker_leaves_the_room_of_its_limit(case):
    def dies(x):
        if x == 3:
            os._exit(1)
        return x

    run = case.map(dies, range(12), limit=1, on_error="skip")
    assert list(run) == [x for x in range(12) if x != 3]


@cases()
def test_a_run_that_waits_for_its_rate_can_be_cancelled(case):
    run = case.map(abs, range(10), rate=Rate("1/hour"))
    threading.Timer(0.3, run.cancel).start()
    began = time.monotonic()
    with pytest.raises(plait.RunCancelled):
        run.wait()
    assert time.monotonic() - began < 3
