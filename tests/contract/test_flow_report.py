"""What a flow's report says: figures of every stage, the bottleneck, and it all in words."""

import asyncio
import json
import time

import pytest

import plait
from plait.engine.figures import Figures
from plait.events import RunFinished, RunStarted
from plait.placement import Placement
from plait.surface.flow_report import bottleneck

MODELS = ["serial", "threads", "processes", "auto"]
every_model = pytest.mark.parametrize("model", MODELS)


def double(x):
    return x * 2


def nap(x):
    time.sleep(0.004)
    return x


def compute(x):
    until = time.thread_time() + 0.004
    while time.thread_time() < until:
        pass
    return x


def slowly(count):
    for x in range(count):
        time.sleep(0.005)
        yield x


@every_model
def test_each_stage_has_its_own_figures(model):
    flow = plait.flow(range(40)).map(double, model=model).filter(lambda x: x % 4 == 0, model=model, name="even")
    run = flow.flat_map(lambda x: [x, x, x], model=model, name="thrice").batch(4).map(len, model=model).run()
    assert len(list(run)) == 15
    stages = [report.to_dict() for report in run.report.stages]
    assert [stage["stage"] for stage in stages] == ["double", "even", "thrice", "len"]
    assert [stage["items"] for stage in stages] == [40, 40, 20, 15]
    assert [stage["read"] for stage in stages] == [40, 40, 20, 15]
    assert all(stage["failures"] == stage["retries"] == stage["crashes"] == 0 for stage in stages)
    assert stages[0]["total"] == 40
    if model != "auto":
        assert {stage["model"] for stage in stages} == {model}
    assert (run.report.items, run.report.failures) == (15, 0)
    assert run.report.wall >= max(report.wall for report in run.report.stages) > 0


@every_model
def test_the_whole_is_json(model):
    run = plait.flow(range(20)).map(double, model=model).batch(3).map(sum, model=model).run()
    run.wait()
    told = json.loads(json.dumps(run.report.to_dict()))
    assert told["items"] == 7
    assert [stage["stage"] for stage in told["stages"]] == ["double", "sum"]
    assert told["failures"] == 0


@every_model
def test_the_report_may_be_read_at_any_time(model):
    run = plait.flow(range(50)).map(double, model=model).map(nap, model=model).run()

    def look():
        told = run.report.explain(), repr(run.report), str(run.report), run.report._repr_html_(), run.report.to_dict()
        assert all(told)
        return run.report.items

    items = [look(), *(look() for _ in run)]
    assert items == sorted(items)
    assert run.report.items == 50


@every_model
def test_in_words(model):
    run = plait.flow(range(30)).map(double, model=model, name="fetch").map(abs, model=model, name="parse").run()
    run.wait()
    told = run.report.explain()
    assert told.index("fetch") < told.index("parse")
    assert "In all: 30 results" in told
    assert "fetch -> parse" in repr(run.report)
    assert "fetch" in run.report._repr_html_()


def test_failures_in_words():
    run = plait.flow(range(30)).map(lambda x: 1 // (x % 10), model="threads", on_error="skip", name="by").map(abs).run()
    assert len(list(run)) == 27
    assert "3 failures: see run.failures." in run.report.explain()
    assert [failure.stage for failure in run.failures] == ["by"] * 3


# --- the bottleneck -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["threads", "processes"])
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("slow", [nap, compute])
def test_a_slow_stage_is_the_bottleneck(model, at, slow):
    flow = plait.flow(range(120))
    for place in range(3):
        mine = place == at
        kind = model if mine else "threads"
        flow = flow.map(
            slow if mine else abs, model=kind, workers=1, width=1, buffer=10, name="slow" if mine else f"s{place}"
        )
    run = flow.run()
    run.wait()
    assert run.report.bottleneck == "slow", run.report.to_dict()
    assert "slow held up the others." in run.report.explain()


async def nap_async(x):
    await asyncio.sleep(0.1)
    return x


@pytest.mark.parametrize(
    ("slow", "count", "options"),
    [
        (nap, 120, {"model": "serial"}),
        (nap, 200, {"model": "threads", "workers": 1, "width": 2}),
        (nap_async, 100, {"model": "async", "width": 50}),
        (compute, 150, {"model": "processes", "workers": 2}),
    ],
    ids=["serial", "threads", "async", "processes"],
)
@pytest.mark.parametrize("at", [0, 1])
def test_a_source_that_fits_into_the_queues_does_not_hide_a_slow_stage(slow, count, options, at):
    if options["model"] == "processes":
        list(plait.map(slow, range(4), **options))  # workers that have to start are none of its time
    flow = plait.flow(range(count))
    for place in range(2):
        flow = flow.map(slow, name="slow", **options) if place == at else flow.map(double, model="threads", name="fast")
    run = flow.map(abs, model="threads").run()
    run.wait()
    assert run.report.bottleneck == "slow", run.report.to_dict()
    assert "slow held up the others." in run.report.explain()


@pytest.mark.parametrize(("model", "count"), [("serial", 100), ("threads", 1500)])
def test_a_quick_generator_does_not_hide_a_slow_stage(model, count):  # threads widen: of 0.1 s nothing is told
    def slow(x):
        time.sleep(0.01)
        return x

    run = plait.flow(x for x in range(count)).map(slow, model=model).map(abs, model="threads").run()
    run.wait()
    assert run.report.bottleneck == "slow", run.report.to_dict()


def inline(name, **counts):
    return of(name, Placement("here", "serial", 1, 1), **counts)


def threads(name, **counts):
    return of(name, Placement("here", "threads", 1, 4), **counts)


def of(name, placement, **counts):
    made = Figures(name, placement=placement, read=100, finished=100, **{"seats": 1, **counts})
    made.began, made.flowing, made.ended = 0.0, 0.0, 1.0
    return made


@pytest.mark.parametrize(
    ("stages", "slowest"),
    [
        ((inline("a", busy=1.0, reading=0.9), threads("b", waited=0.9)), "source"),
        ((inline("a", busy=1.0, reading=0.1), threads("b", waited=0.9)), "a"),
        ((inline("a", busy=1.0, total=100), threads("b", waited=0.9)), "a"),
        ((inline("a", busy=1.0), threads("b", waited=0.9)), "source"),
        ((threads("a", busy=3.6, waited=0.9, reading=0.0), inline("b", busy=0.9, waited=0.9)), "a"),
        ((threads("a", busy=0.4, waited=0.9, reading=0.9), inline("b", busy=0.9, waited=0.9)), "source"),
        ((threads("a", busy=0.4, waited=0.9, reading=0.1), inline("b", busy=0.9, waited=0.9)), ""),
        ((threads("a", busy=0.4, waited=0.1, reading=0.0), inline("b", busy=0.9), threads("c", waited=0.9)), "b"),
        ((inline("a", busy=0.9), inline("b", busy=0.9, waited=0.9)), "source"),
        ((inline("a", busy=0.9, reading=0.0), inline("b", busy=0.9, waited=0.9)), ""),
        ((inline("a", busy=0.9, cpu=0.9, reading=0.8), threads("b", waited=0.9)), "source"),
        ((inline("a", busy=0.9, cpu=0.9), inline("b", busy=0.9, cpu=0.9)), ""),
        ((threads("a", busy=2.0, waited=0.9), threads("b", busy=0.0, waited=0.9)), "source"),
        ((threads("a", busy=3.0, waited=0.9), threads("b", busy=0.0, waited=0.9)), "a"),
        ((threads("a", busy=1.9, waited=0.9, total=100), threads("b", waited=0.9)), "a"),
        # as where threads fight for the GIL:
        ((threads("a", held=0.6, waited=0.6, busy=0.4), threads("b", busy=3.6, waited=1.0)), "b"),
        ((threads("a", busy=3.6, waited=0.95, reading=0.95), threads("b", waited=0.95)), "source"),
        # a consumer that is slower still, which an inline stage counts as its own time:
        ((threads("a", busy=3.8, reading=0.0), threads("b")), ""),
        ((threads("a", busy=0.4, reading=0.0), inline("b", busy=1.0)), ""),
    ],
)
def test_who_worked_for_most_of_the_time(stages, slowest):
    assert bottleneck(stages) == slowest


@pytest.mark.parametrize("model", ["serial", "threads", "processes", "auto"])
def test_a_slow_source_is_the_bottleneck(model):
    if model == "processes":
        list(plait.map(double, range(4), model=model))  # workers that have to start are none of its time
    run = plait.flow(slowly(100)).map(double, model=model).map(abs, model="threads").run()
    run.wait()
    assert run.report.bottleneck == "source", run.report.to_dict()
    assert "The source held up all stages." in run.report.explain()


def test_a_stage_that_nobody_waits_for_is_not_the_bottleneck():
    run = plait.flow(range(40)).map(nap, model="threads", width=1).map(abs, model="serial").run()
    for _ in run:
        time.sleep(0.012)
    assert run.report.bottleneck in ("", "consumer"), run.report.to_dict()


@pytest.mark.parametrize("model", ["threads", "processes"])
def test_a_slow_consumer_is_the_bottleneck(model):
    list(plait.map(nap, range(40), model=model, workers=2))  # workers that have to start are none of the consumer's
    flow = plait.flow(range(80)).map(double, model=model, workers=2, buffer=10).map(abs, model="threads", buffer=10)
    run = flow.run()
    for _ in run:
        time.sleep(0.02)
    assert run.report.bottleneck == "consumer", run.report.to_dict()
    assert "The consumer held up all stages." in run.report.explain()


def test_nobody_can_tell_of_a_run_that_took_no_time():
    run = plait.flow(range(5)).map(double, model="serial").map(abs, model="serial").run()
    run.wait()
    assert run.report.bottleneck == ""


# --- events -------------------------------------------------------------------------------------------------------


@every_model
@pytest.mark.parametrize("ends", ["done", "failed", "cancelled"])
def test_one_start_and_one_end_are_told(model, ends, until):
    def fails(x):
        return 1 // (x - 30) if ends == "failed" else x

    run = (
        plait.flow(range(60)).map(double, model=model, name="one").map(fails, model=model, name="other").batch(2).run()
    )
    told = []
    with run.observe(told.append, types=[RunStarted, RunFinished]):
        try:
            for at, _ in enumerate(run):
                if ends == "cancelled" and at == 2:
                    break
        except ZeroDivisionError:
            pass
        until(lambda: len(told) == 2, what="the end of the run")
    assert [type(event) for event in told] == [RunStarted, RunFinished]
    assert told[1].outcome == ends
    assert told[0].run == told[1].run
