"""What lies between stages, against plain models: batches, windows on a clock of the test's, members, sinks."""

import itertools
import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.engine.regroup import Batched, Windowed, Writing, flatten, unbatch
from plait.failure import Failure


def failure(x):
    return Failure(x, 0, "before", 1, ValueError(x), "")


def is_failure(x):
    return type(x) is Failure


#: Items, some of which failed in a stage before.
ITEMS = st.lists(st.one_of(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99).map(failure)), max_size=40)


def in_batches(items, count):
    """The model: failures go by at once, batches when they are full, and the rest at the end."""
    out, batch = [], []
    for item in items:
        if is_failure(item):
            out.append(item)
            continue
        batch.append(item)
        if len(batch) == count:
            out.append(batch)
            batch = []
    return [*out, batch] if batch else out


@given(ITEMS, st.integers(1, 12))
def test_batches_are_those_of_the_model(items, count):
    assert list(Batched(count)(iter(items))) == in_batches(items, count)


@settings(max_examples=50)
@given(ITEMS, st.integers(1, 12))
def test_batches_with_much_time_are_the_same(items, count):
    assert list(Batched(count, within=60.0)(iter(items))) == in_batches(items, count)


@settings(max_examples=50)
@given(ITEMS, st.integers(1, 12))
def test_batches_with_hardly_any_time_lose_nothing_and_keep_the_order(items, count):
    out = list(Batched(count, within=1e-6)(iter(items)))
    batches = [batch for batch in out if not is_failure(batch)]
    assert all(1 <= len(batch) <= count for batch in batches)
    assert list(itertools.chain.from_iterable(batches)) == [item for item in items if not is_failure(item)]
    assert [item for item in out if is_failure(item)] == [item for item in items if is_failure(item)]


def test_a_batch_closes_when_its_time_is_over_though_nothing_comes():
    closed = threading.Event()

    def source():
        yield 1
        yield 2
        assert closed.wait(10)
        yield 3

    batches = Batched(100, within=0.01)(source())
    assert next(batches) in ([1], [1, 2])
    closed.set()
    assert list(batches)[-1][-1] == 3


@pytest.mark.parametrize("within", [None, 60.0])
def test_the_error_of_what_is_read_is_raised(within):
    def source():
        yield from range(5)
        raise KeyError("no more")

    out = []
    with pytest.raises(KeyError, match="no more"):
        out.extend(Batched(2, within)(source()))
    out = []

    def consume():
        for batch in Batched(2, within)(source()):
            out.append(batch)

    with pytest.raises(KeyError, match="no more"):
        consume()
    assert out == [[0, 1], [2, 3]]


@pytest.mark.parametrize("make", [lambda: Batched(3, 60.0), lambda: Windowed(60.0), lambda: Windowed(items=3)])
def test_what_is_left_early_reads_no_further(make, until):
    read = [0]

    def source():
        for read[0] in itertools.count(1):
            yield read[0]

    before = threading.active_count()
    groups = make()(source())
    if isinstance(make(), Batched) or make().items:
        assert next(groups) == [1, 2, 3]
        groups.close()
        until(lambda: threading.active_count() <= before, what="the end of the reader's thread")
        assert read[0] < 2100
    else:
        groups.close()
        assert read[0] == 0


# --- windows --------------------------------------------------------------------------------------------------------


def windows_by_hand(items, times, seconds, count):
    """The model: each item belongs to the span in which it came, less what an earlier window took of that."""
    out, end, last = [], -math.inf, -math.inf
    for item, now in zip(items, times, strict=True):
        if not out or now >= end or len(out[-1][2]) == count:
            start = now if seconds is None else math.floor(now / seconds) * seconds
            end = math.inf if seconds is None else start + seconds
            out.append([max(start, last), end, []])
        out[-1][2].append(item)
        if len(out[-1][2]) == count:
            out[-1][1] = now
        last = out[-1][1]
    if out and (not count or len(out[-1][2]) < count):
        out[-1][1] = min(end, times[-1])
    return [tuple(window) for window in out]


@settings(max_examples=100)
@given(
    steps=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0, 17.0]), max_size=25),
    seconds=st.sampled_from([None, 0.5, 1.0, 4.0]),
    count=st.sampled_from([None, 1, 3, 10]),
)
def test_windows_are_those_of_the_model(steps, seconds, count):
    """Each item has its time, however late it is looked at."""
    if seconds is None and count is None:
        return
    times = list(itertools.accumulate(steps, initial=1000.0))[1:]
    now = [1000.0]

    def source():
        for item, now[0] in enumerate(times):
            yield item

    windows = [
        (window.start, window.end, list(window)) for window in Windowed(seconds, count, lambda: now[0])(source())
    ]
    assert windows == windows_by_hand(range(len(times)), times, seconds, count)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(windows))


def test_a_window_closes_when_its_time_is_over_though_nothing_comes():
    closed, now = threading.Event(), [1000.5]

    def source():
        yield 1
        yield 2
        now[0] = 1003.0  # the reader waits by the system's clock, and asks ours then
        assert closed.wait(10)
        yield 3

    windows = Windowed(0.75, clock=lambda: now[0])(source())
    first = next(windows)
    assert (list(first), first.start, first.end) == ([1, 2], 999.75 + 0.75, 1001.25)
    closed.set()
    assert [list(window) for window in windows] == [[3]]


def test_a_clock_that_is_set_back_loses_nothing():
    times = [1000.0, 1000.1, 1005.0, 900.0, 900.1, 1006.0, 905.0]
    now = [0.0]

    def source():
        for item, now[0] in enumerate(times):
            yield item

    windows = list(Windowed(1.0, clock=lambda: now[0])(source()))
    assert list(itertools.chain.from_iterable(windows)) == list(range(len(times)))
    assert all(window.start <= window.end for window in windows)


@given(ITEMS, st.integers(1, 7))
def test_failures_pass_windows_by(items, count):
    got = list(Windowed(items=count)(iter(items)))
    assert [item for item in got if is_failure(item)] == [item for item in items if is_failure(item)]
    fine = [item for item in items if not is_failure(item)]
    assert [list(w) for w in got if not is_failure(w)] == [fine[at : at + count] for at in range(0, len(fine), count)]


@given(st.lists(st.integers(), max_size=30), st.integers(1, 7))
def test_windows_by_count_alone(items, count):
    got = list(Windowed(items=count, clock=itertools.count().__next__)(iter(items)))
    assert [list(window) for window in got] == [items[at : at + count] for at in range(0, len(items), count)]
    assert all(window.start <= window.end for window in got)
    assert all(one.end <= other.start for one, other in itertools.pairwise(got))


# --- members and sinks ----------------------------------------------------------------------------------------------


@given(st.lists(st.one_of(st.lists(st.integers()), st.integers().map(failure), st.frozensets(st.integers()))))
def test_members_and_failures(batches):
    want = [item for batch in batches for item in ([batch] if is_failure(batch) else batch)]
    assert list(unbatch(iter(batches))) == list(flatten(iter(batches))) == want


@pytest.mark.parametrize("odd", [5, None, "text", b"bytes"])
def test_what_has_no_members_is_told(odd):
    with pytest.raises(TypeError, match=type(odd).__name__):
        list(unbatch(iter([[1], odd])))


class Sink:
    def __init__(self):
        self.seen = []

    def __enter__(self):
        self.seen.append("opened")
        return self

    def write(self, item):
        self.seen.append(item)

    def __exit__(self, kind, error, trace):
        self.seen.append(kind)


@given(ITEMS)
def test_what_is_written(items):
    sink = Sink()
    writing = Writing(sink)
    assert list(writing(iter(items))) == items
    fine = [item for item in items if not is_failure(item)]
    assert sink.seen == ["opened", *fine], "it is not completed yet"
    writing.complete()
    writing.complete()
    writing.abandon(KeyError())
    assert sink.seen == ["opened", *fine, None]


def test_what_is_written_and_abandoned():
    sink = Sink()
    writing = Writing(sink)
    writing.abandon(KeyError())
    assert next(writing(iter([1, 2]))) == 1
    writing.abandon(KeyError())
    writing.complete()
    assert sink.seen == ["opened", 1, KeyError]
