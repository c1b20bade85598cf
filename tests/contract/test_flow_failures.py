"""What becomes of what fails in a flow: in any stage, in its source, between stages; by `on_error`, crash, time."""

import asyncio
import itertools
import os
import signal
import time
import traceback

import pytest

import plait
from plait import Failure, ItemTimeout, TooManyFailures, WorkerLost
from tests.contract.models import cases
from tests.contract.sources import SourceFailed, failing, failing_async

NOW = plait.Retry(2, backoff=0)


class Refused(Exception):
    pass


def double(x):
    return x * 2


def picky(x):
    if x % 10 == 5:
        raise Refused(f"not {x}")
    return x


def once(x):
    if x == 5:
        raise Refused(f"not {x}")
    return x


def staged(case, flow, fn, how="map", **options):
    return getattr(flow, how)(case.function(fn), **{"model": case.model, "workers": 2, **options})


def three(case, at, fn, items=range(200), **options):
    """A flow of three stages; the one at `at` calls `fn`."""
    flow = plait.flow(items)
    for place in range(3):
        flow = staged(case, flow, fn if place == at else abs, **(options if place == at else {}))
    return flow


# --- the first failure ends the run -------------------------------------------------------------------------------


@cases()
@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_error_in_any_stage_is_raised_as_it_is(case, at):
    flow = three(case, at, once, name="sorting", retries=NOW)
    with pytest.raises(Refused, match="not 5") as caught:
        list(flow)
    told = "".join(traceback.format_exception(caught.value))
    assert "stage 'sorting'" in told
    assert "item 5" in told
    assert "attempt 3" in told
    assert "in once" in told
    assert "of the items" not in told
    assert "later stage" not in told


@cases()
@pytest.mark.parametrize("at", [0, 1, 2])
def test_results_before_the_error_are_in_order(case, at):
    seen = []
    with pytest.raises(Refused):
        seen.extend(three(case, at, once))
    assert seen == list(range(len(seen)))
    assert len(seen) <= 5


@cases()
def test_an_error_ends_an_infinite_flow(case):
    began = time.monotonic()
    with pytest.raises(Refused):
        three(case, 1, once, itertools.count()).run().wait()
    assert time.monotonic() - began < 5


@cases()
def test_an_error_for_an_async_consumer(case):
    async def consume():
        return [result async for result in three(case, 1, once).batch(3)]

    with pytest.raises(Refused, match="not 5"):
        asyncio.run(consume())


@pytest.mark.parametrize(("how", "fn"), [("filter", picky), ("flat_map", picky), ("tap", picky), ("starmap", abs)])
@pytest.mark.parametrize("model", ["serial", "threads", "processes"])
def test_errors_of_every_kind_of_stage(how, fn, model):
    items = [[1, 2]] if how == "starmap" else [5]
    run = getattr(plait.flow(items), how)(fn, model=model, workers=1, on_error="skip").map(double).run()
    assert list(run) == []
    [failure] = run.failures
    assert (failure.item, failure.stage) == (items[0], fn.__name__)


@pytest.mark.parametrize("model", ["serial", "threads", "processes", "auto"])
def test_what_flat_map_cannot_take_apart_says_so(model):
    with pytest.raises(TypeError, match=r"\.flat_map\(\) takes a function that returns a list .* returned 'int'"):
        list(plait.flow([5]).flat_map(abs, model=model))
    with pytest.raises(TypeError, match="returned 'str'"):
        list(plait.flow([5]).flat_map(str, model=model))


@pytest.mark.parametrize("model", ["serial", "threads", "processes", "auto"])
def test_what_unbatch_cannot_take_apart_says_so(model):
    for flow in (plait.flow([5]), plait.flow([5]).map(double, model=model)):
        with pytest.raises(TypeError, match=r"\.unbatch\(\) takes lists or other iterables apart; got 'int'"):
            list(flow.unbatch().map(abs, model=model))


# --- a source that raises -----------------------------------------------------------------------------------------


@cases()
@pytest.mark.parametrize("after", [0, 1, 100])
def test_results_come_first_when_the_source_raises(case, after):
    seen = []

    def consume(flow):
        for result in flow:
            seen.append(result)  # noqa: PERF402  what came before the error counts

    with pytest.raises(SourceFailed, match="no more") as caught:
        consume(three(case, 1, double, failing(after)))
    assert seen == [x * 2 for x in range(after)]
    [note] = caught.value.__notes__
    assert note.startswith("Raised by the source of the items")
    assert ("after 100 items" in note) == (after == 100)


@cases()
def test_results_come_first_when_an_async_source_raises(case):
    seen = []

    async def consume():
        async for result in three(case, 1, double, failing_async(50)).batch(20):
            seen.append(result)  # noqa: PERF401

    with pytest.raises(SourceFailed, match="no more"):
        asyncio.run(consume())
    assert [len(batch) for batch in seen] == [20, 20, 10]


@pytest.mark.parametrize("within", [None, 30])
@pytest.mark.parametrize("model", ["serial", "threads", "auto"])
def test_a_batch_that_is_not_full_comes_before_the_error_of_the_source(within, model):
    seen = []

    def consume():
        for result in plait.flow(failing(50)).batch(40, within=within).map(len, model=model):
            seen.append(result)  # noqa: PERF402  what came before the error counts

    with pytest.raises(SourceFailed):
        consume()
    assert seen == [40, 10]


# --- skip and return ----------------------------------------------------------------------------------------------


@cases()
@pytest.mark.parametrize("at", [0, 1, 2])
def test_skip_leaves_out_what_failed(case, at):
    run = three(case, at, picky, range(40), on_error="skip", name="here").run()
    assert list(run) == [x for x in range(40) if x % 10 != 5]
    assert sorted((failure.item, failure.stage) for failure in run.failures) == [(x, "here") for x in (5, 15, 25, 35)]
    assert run.report.failures == 4
    assert [report.failures for report in run.report.stages] == [4 if place == at else 0 for place in range(3)]


@cases()
def test_a_failure_passes_all_later_stages(case, calls):
    def noted(x):
        calls.note(x)
        return x

    flow = staged(case, plait.flow(range(30)), picky, on_error="return")
    flow = staged(case, flow, noted)
    flow = staged(case, flow, lambda x: x < 20, "filter")
    flow = staged(case, flow, lambda x: [x, x], "flat_map")
    run = staged(case, flow, noted, "tap").run()
    results = list(run)
    assert [r for r in results if type(r) is not Failure] == [y for x in range(20) if x % 10 != 5 for y in (x, x)]
    assert [(r.item, r.stage) for r in results if type(r) is Failure] == [(5, "picky"), (15, "picky"), (25, "picky")]
    assert sorted(failure.item for failure in run.failures) == [5, 15, 25]
    assert "5" not in calls.counts()
    assert [type(r) for r in results].index(Failure) == 10


def test_failures_pass_batches_windows_and_sinks(tmp_path):
    out = tmp_path / "out.jsonl"
    flow = plait.flow(range(20)).map(picky, model="threads", on_error="return")
    results = list(flow.batch(4).map(sum).to(plait.write.jsonl(out)).window(items=2).unbatch())
    want = [x for x in range(20) if x % 10 != 5]
    sums = [sum(want[at : at + 4]) for at in range(0, 18, 4)]
    assert [r for r in results if type(r) is not Failure] == sums
    assert [r.item for r in results if type(r) is Failure] == [5, 15]
    assert out.read_text().split() == [str(total) for total in sums]


@cases()
def test_on_error_of_the_run_holds_for_every_stage(case):
    flow = staged(case, staged(case, plait.flow(range(40)), picky, name="one"), lambda x: picky(x + 1), name="two")
    run = flow.run(on_error="return")
    results = list(run)
    bad = {x: "one" if x % 10 == 5 else "two" for x in range(40) if x % 10 in (4, 5)}
    assert {x: r.stage for x, r in enumerate(results) if type(r) is Failure} == bad
    assert sorted((f.stage, f.item) for f in run.failures) == sorted((stage, x) for x, stage in bad.items())


@cases()
def test_max_failures_of_a_stage(case):
    run = three(case, 1, picky, range(200), on_error="skip", max_failures=3).run()
    with pytest.raises(TooManyFailures):
        run.wait()
    assert run.report.stages[1].failures >= 4
    assert list(three(case, 1, picky, range(40), on_error="skip", max_failures=4)) == [
        x for x in range(40) if x % 10 != 5
    ]


@cases()
def test_items_are_tried_again_within_their_stage_only(case, calls):
    def before(x):
        calls.note("before")
        return x

    def third_time(x):
        calls.note(x)
        if calls.counts()[str(x)] < 3:
            raise OSError("again")
        return x

    run = staged(case, staged(case, plait.flow(range(10)), before), third_time, retries=NOW).run()
    assert list(run) == list(range(10))
    assert calls.counts() == {"before": 10} | {str(x): 3 for x in range(10)}
    assert run.report.retries == run.report.stages[1].retries == 20


# --- crashes and time ---------------------------------------------------------------------------------------------


def exit_at_once(x, mark):
    if x == 7:
        file = os.open(mark, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.write(file, b"x")
        if os.fstat(file).st_size <= 1:
            os._exit(3)
    return x


def kill_itself(x, mark):
    if x == 7:
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(5)
    return x


@cases(lambda case: case.in_processes)
@pytest.mark.parametrize("at", [0, 1])
def test_a_worker_that_dies_once_costs_nothing(case, at, tmp_path):
    mark = str(tmp_path / "mark")
    flow = plait.flow(range(60))
    for place in range(2):
        flow = staged(case, flow, (lambda x: exit_at_once(x, mark)) if place == at else abs)
    run = flow.run()
    assert list(run) == list(range(60))
    assert run.report.crashes >= 1  # of two stages that share their workers, it counts as one's


@cases(lambda case: case.in_processes)
def test_an_item_that_kills_its_worker_is_a_failure_of_its_stage(case):
    run = three(case, 1, lambda x: kill_itself(x, ""), range(30), on_error="return", name="deadly").run()
    results = list(run)
    assert [r for r in results if type(r) is not Failure] == [x for x in range(30) if x != 7]
    assert (results[7].stage, results[7].item, type(results[7].exception)) == ("deadly", 7, WorkerLost)


@cases(lambda case: case.in_processes or case.style == "loop")
def test_a_timeout_in_a_stage(case):
    def hangs(x):
        if x == 3:
            time.sleep(20)
        return x

    async def hangs_async(x):
        await asyncio.sleep(20 if x == 3 else 0)
        return x

    fn = hangs_async if case.is_async else hangs
    flow = plait.flow(range(10)).map(double).map(lambda x: x // 2)
    flow = flow.map(fn, model=case.model, workers=2, timeout=0.3, on_error="return", name="slow").map(abs)
    began = time.monotonic()
    results = list(flow)
    assert time.monotonic() - began < 8
    assert [x for x, r in enumerate(results) if r != x] == [3]
    assert (type(results[3].exception), results[3].stage) == (ItemTimeout, "slow")


@cases(lambda case: case.model != "serial")
def test_a_deadline_in_a_stage(case, calls):
    def never(x):
        calls.note(x)
        if x == 3:
            raise OSError("again")
        return x

    options = {"retries": plait.Retry(50, backoff=0.05, jitter=0), "deadline": 0.4, "on_error": "return"}
    results = list(staged(case, staged(case, plait.flow(range(8)), double), lambda x: never(x // 2), **options))
    assert [x for x, r in enumerate(results) if r != x] == [3]
    assert type(results[3].exception) is OSError or type(results[3].exception) is ItemTimeout
    assert 2 <= calls.counts()["3"] <= 8
