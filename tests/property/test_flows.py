"""Random flows give what plain Python gives: whatever the models, whatever fails, crashes, hangs or is left early."""

import asyncio
import contextlib
import itertools
import tempfile
import threading
from collections import Counter

import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

import plait
from plait import Failure, RunCancelled
from tests.property.flow_stages import SIZES, VALUES, Failed, Stage, applied, expected

COUNT = 120


@st.composite
def a_stage(draw, at, ordered):
    how = draw(st.sampled_from([*VALUES, "listed", *(["summed"] if ordered else [])]))
    is_async = draw(st.booleans())
    models = (
        ["async", "processes+async", "auto"]
        if is_async
        else ["serial", "threads", "processes", "processes+threads", "auto"]
    )
    model = draw(st.sampled_from(models))
    fails = how not in SIZES
    return Stage(
        name=f"s{at}",
        how=how,
        model=model,
        is_async=is_async,
        ordered=ordered and draw(st.integers(0, 5)) > 0,
        on_error=draw(st.sampled_from(["skip", "return"])),
        raises=draw(st.integers(-4, 6)) if fails else -1,
        dies=draw(st.none() | st.integers(0, 99)) if fails and model.startswith("processes") else None,
        hangs=draw(st.sampled_from([None] * 6 + [5, 21])) if fails and model in ("async", "processes") else None,
        slow=draw(st.sampled_from([0.0, 0.0, 0.0, 0.001, 0.004])),
        size=draw(st.integers(1, 9)),
    )


@st.composite
def some_stages(draw):
    stages, ordered = [], True
    for at in range(draw(st.integers(1, 6))):
        stages.append(draw(a_stage(at, ordered)))
        ordered = ordered and stages[-1].ordered
    return stages


def source(kind, count):
    async def asynchronously():
        for x in range(count):
            yield x

    return {"range": range(count), "generator": (x for x in range(count)), "async": asynchronously()}[kind]


def as_expected(result):
    return Failed(result.stage, result.item) if type(result) is Failure else result


class Taken:
    """What a consumer got, which stops or cancels after `until` results."""

    def __init__(self, run, until, cancels):
        self.run, self.until, self.cancels = run, until, cancels
        self.results, self.whole = [], False

    def enough(self, result):
        """Takes a result; true where the consumer leaves."""
        self.results.append(as_expected(result))
        if len(self.results) != self.until:
            return False
        if self.cancels:
            threading.Thread(target=self.run.cancel).start()
        return not self.cancels

    def by_for(self):
        with contextlib.suppress(RunCancelled):
            for result in self.run:
                if self.enough(result):
                    return
            self.whole = True

    async def by_async_for(self):
        with contextlib.suppress(RunCancelled):
            async with self.run:
                async for result in self.run:
                    if self.enough(result):
                        return
                self.whole = True


def agree(stages, kind, asynchronously, until, cancels):
    want, failures = expected(range(COUNT), stages)
    with tempfile.TemporaryDirectory() as folder:
        run = applied(plait.flow(source(kind, COUNT)), stages, f"{folder}/mark").run()
        taken = Taken(run, until, cancels)
        if asynchronously:
            asyncio.run(taken.by_async_for())
        else:
            taken.by_for()
    ordered = all(stage.ordered for stage in stages)
    told = [as_expected(failure) for failure in run.failures]
    note(run.report.explain())
    event(f"{'whole' if taken.whole else 'left early'}, {'ordered' if ordered else 'unordered'}")
    if taken.whole:
        assert (taken.results == want) if ordered else (Counter(taken.results) == Counter(want))
        assert Counter(told) == Counter(failures)
        read, made = run.report.stages[0].to_dict(), run.report.stages[0]
        assert read["read"] == made.items + made.failures
    else:
        assert until is not None
        assert len(taken.results) >= min(until, len(want))
        assert taken.results == want[: len(taken.results)] if ordered else Counter(taken.results) <= Counter(want)
        assert Counter(told) <= Counter(failures)


FLOWS = given(
    stages=some_stages(),
    kind=st.sampled_from(["range", "generator", "async"]),
    asynchronously=st.booleans(),
    until=st.none() | st.integers(1, 80),
    cancels=st.booleans(),
)
ANY = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.timeout(180)
@settings(max_examples=40, **ANY)
@FLOWS
def test_random_flows_agree_with_plain_python(stages, kind, asynchronously, until, cancels):
    agree(stages, kind, asynchronously, until, cancels)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@settings(max_examples=400, **ANY)
@FLOWS
def test_many_random_flows_agree_with_plain_python(stages, kind, asynchronously, until, cancels):
    agree(stages, kind, asynchronously, until, cancels)


@pytest.mark.timeout(120)
@settings(max_examples=15, **ANY)
@given(stages=some_stages(), at=st.integers(0, 5), which=st.integers(0, COUNT - 1))
def test_the_first_error_of_a_random_flow_is_raised(stages, at, which):
    """A stage of ours, somewhere in it, raises for one item: that is raised, or it never comes so far."""
    at = min(at, len(stages))
    stages = [stage for stage in stages if stage.hangs is None]
    before, behind = stages[:at], stages[at:]

    def fails(x):
        if x == which:
            raise ZeroDivisionError(x)
        return x

    reached = which in [x for x in expected(range(COUNT), before)[0] if not isinstance(x, Failed)]
    with tempfile.TemporaryDirectory() as folder:
        flow = applied(plait.flow(range(COUNT)), before, f"{folder}/mark").map(fails, model="threads", on_error="raise")
        flow = applied(flow, behind, f"{folder}/mark")
        if reached:
            with pytest.raises(ZeroDivisionError) as caught:
                flow.run().wait()
            assert "stage 'fails'" in "".join(caught.value.__notes__)
        else:
            flow.run().wait()


@pytest.mark.parametrize("seed", range(3))
def test_an_infinite_source_goes_through_a_random_flow(seed):
    how = list(itertools.islice(itertools.cycle(["map", "flat_map", "listed", "tap"]), seed, seed + 3))
    stages = [
        Stage(f"s{at}", one, model)
        for at, (one, model) in enumerate(zip(how, ["threads", "auto", "serial"], strict=True))
    ]
    with applied(plait.flow(itertools.count()), stages, "").run() as run:
        assert list(itertools.islice(run, 100)) == expected(range(400), stages)[0][:100]
