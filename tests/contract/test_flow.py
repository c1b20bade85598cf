"""A flow's shapes: every method, with sync and async functions, under every model; immutable, and run anew."""

import asyncio
import contextvars
import itertools
import operator
import threading

import pytest

import plait
from plait import OptionError, UnknownOption
from tests.contract.models import cases


def double(x):
    return x * 2


def odd(x):
    return x % 2


def pair(x):
    return [x, -x]


def staged(case, flow, how, fn, **options):
    """`flow` with one more stage, under the model of `case` and with a function of its kind."""
    return getattr(flow, how)(case.function(fn), **{"model": case.model, "workers": 2, **options})


# --- every method -------------------------------------------------------------------------------------------------


@cases()
def test_stages_follow_each_other_in_order(case):
    flow = plait.flow(range(200))
    for fn in (double, abs, str):
        flow = staged(case, flow, "map", fn)
    assert list(flow) == [str(x * 2) for x in range(200)]


@cases()
def test_unordered_results_are_the_same(case):
    flow = staged(case, plait.flow(range(200)), "map", double, ordered=False)
    assert sorted(staged(case, flow, "map", abs, ordered=False)) == [x * 2 for x in range(200)]


@cases()
def test_filter_keeps_what_is_true(case):
    assert list(staged(case, plait.flow(range(50)), "filter", odd)) == list(range(1, 50, 2))
    assert list(staged(case, plait.flow(range(50)), "filter", odd).map(double)) == [x * 2 for x in range(1, 50, 2)]


@cases()
def test_flat_map_gives_the_members(case):
    flow = staged(case, plait.flow(range(30)), "flat_map", pair)
    assert list(flow) == [y for x in range(30) for y in (x, -x)]
    assert list(staged(case, flow, "map", double)) == [y * 2 for x in range(30) for y in (x, -x)]


@cases()
def test_flat_map_may_give_nothing(case):
    flow = staged(case, plait.flow(range(100)), "flat_map", lambda x: [] if x else [7])
    assert list(flow.map(double)) == [14]


@cases(lambda case: not case.is_async)
def test_flat_map_of_a_generator(case):
    def each(x):
        yield from range(x)

    assert list(staged(case, plait.flow(range(6)), "flat_map", each)) == [y for x in range(6) for y in range(x)]


@cases(lambda case: case.is_async)
def test_flat_map_of_an_async_generator(case):
    async def each(x):
        for y in range(x):
            await asyncio.sleep(0)
            yield y

    flow = plait.flow(range(6)).flat_map(each, model=case.model, workers=2)
    assert list(flow) == [y for x in range(6) for y in range(x)]


@cases(lambda case: case.is_async)
def test_flat_map_of_an_object_that_generates_asynchronously(case):
    assert list(plait.flow([2, 3]).flat_map(Counting(), model=case.model, workers=2)) == [0, 1, 0, 1, 2]


class Counting:
    async def __call__(self, x):
        for y in range(x):
            yield y


@cases()
def test_starmap_unpacks_items(case):
    def add(a, b):
        return a + b

    async def add_async(a, b):
        await asyncio.sleep(0)
        return a + b

    fn = add_async if case.is_async else add
    assert list(plait.flow([(1, 2), (3, 4)]).starmap(fn, model=case.model, workers=2)) == [3, 7]


@cases()
def test_tap_passes_items_on(case, calls):
    assert list(staged(case, plait.flow(range(20)), "tap", calls.note).map(double)) == [x * 2 for x in range(20)]
    assert calls.counts() == {str(x): 1 for x in range(20)}


@cases()
def test_batches_between_stages(case):
    flow = staged(case, plait.flow(range(50)), "map", double).batch(8)
    assert [len(batch) for batch in flow] == [8] * 6 + [2]
    assert list(staged(case, flow, "map", sum).batch(3)) == [
        [sum(range(16 * at, 16 * at + 16, 2)) if at < 6 else 96 + 98 for at in some]
        for some in ([0, 1, 2], [3, 4, 5], [6])
    ]
    assert list(staged(case, flow.unbatch(), "map", abs)) == [x * 2 for x in range(50)]


def test_batches_of_the_source():
    assert list(plait.flow(range(7)).batch(3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(plait.flow(range(7)).batch(3).map(sum)) == [3, 12, 6]
    assert list(plait.flow([[1, 2], (), {3}]).unbatch().map(double)) == [2, 4, 6]
    assert list(plait.flow(range(4)).batch(2).batch(2)) == [[[0, 1], [2, 3]]]


def test_a_batch_is_passed_on_although_it_is_not_full():
    """The source does not go on before the batch has come."""
    arrived, came = [], threading.Event()

    def waits():
        yield 1
        yield 2
        assert came.wait(10)
        yield 3

    for batch in plait.flow(waits()).batch(100, within=0.02):
        arrived += batch
        came.set()
    assert arrived == [1, 2, 3]


def test_windows_by_count():
    windows = list(plait.flow(range(7)).window(items=3))
    assert windows == [[0, 1, 2], [3, 4, 5], [6]]
    assert all(window.start <= window.end for window in windows)
    assert all(a.end <= b.start for a, b in itertools.pairwise(windows))


def test_windows_by_time_have_bounds_that_are_multiples():
    windows = list(plait.flow(range(50)).map(double, model="threads").window(seconds=0.5))
    assert list(itertools.chain.from_iterable(windows)) == [x * 2 for x in range(50)]
    for window in windows:
        assert window.start == pytest.approx(round(window.start / 0.5) * 0.5)
        assert window.start < window.end <= window.start + 0.5


@cases()
def test_windows_travel_to_the_next_stage(case):
    def bounds(window):
        return type(window).__name__, list(window), window.start <= window.end

    flow = plait.flow(range(4)).window(items=2)
    assert list(staged(case, flow, "map", bounds)) == [("Window", [0, 1], True), ("Window", [2, 3], True)]


@cases()
def test_a_function_as_a_sink(case, calls):
    assert list(staged(case, plait.flow(range(20)), "to", calls.note)) == list(range(20))
    assert calls.counts() == {str(x): 1 for x in range(20)}


def test_a_flow_without_stages_gives_its_items():
    assert list(plait.flow(range(5))) == [0, 1, 2, 3, 4]
    assert asyncio.run(gathered(plait.flow(range(5)))) == [0, 1, 2, 3, 4]


@cases()
def test_nothing_comes_of_nothing(case):
    flow = staged(case, plait.flow([]), "filter", odd)
    assert list(staged(case, flow, "map", double)) == []
    assert list(staged(case, flow.batch(3), "flat_map", pair).window(items=2)) == []
    assert asyncio.run(gathered(flow.batch(3))) == []


async def gathered(flow):
    return [result async for result in flow]


# --- options ------------------------------------------------------------------------------------------------------


def test_options_of_a_stage_go_over_those_of_the_run():
    run = plait.flow(range(20)).map(double, model="threads", width=2).map(abs).run(model="serial")
    assert list(run) == [x * 2 for x in range(20)]
    assert [report.model for report in run.report.stages] == ["threads", "serial"]
    assert run.report.stages[0].placement.width == 2


def test_a_task_brings_its_own_options(calls):
    @plait.task(retries=plait.Retry(2, backoff=0), model="threads", name="thirdly")
    def third_time(x):
        calls.note(x)
        if calls.counts()[str(x)] < 3:
            raise OSError("again")
        return [x]

    for how, want in (("map", [[5]]), ("flat_map", [5]), ("filter", [5]), ("tap", [5])):
        run = getattr(plait.flow([5]), how)(third_time).run()
        assert list(run) == want
        [report] = run.report.stages
        assert (report.model, report.retries, report.to_dict()["stage"]) == ("threads", 2, "thirdly")
        open(calls.path, "w").close()
    with pytest.raises(OSError, match="again"):
        list(plait.flow([6]).map(third_time, retries=0))


def test_names_are_made_unique():
    flow = plait.flow(range(3)).map(double).map(double).map(abs, name="double-2").tap(double, name="double")
    run = flow.run()
    run.wait()
    names = [report.to_dict()["stage"] for report in run.report.stages]
    assert names[:2] == ["double", "double-2"]
    assert len(set(names)) == 4


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (lambda flow: flow.map(3), TypeError, r"\.map\(\) takes a function; got 'int'"),
        (lambda flow: flow.filter(None), TypeError, r"\.filter\(\) takes a function; got 'NoneType'"),
        (lambda flow: flow.map(double, wdith=3), UnknownOption, "Did you mean 'width'"),
        (lambda flow: flow.map(double, model="thread"), UnknownOption, "Did you mean 'threads'"),
        (lambda flow: flow.map(double, journal="x.db"), OptionError, r"\.run\(journal=\.\.\.\)"),
        (lambda flow: flow.map(double, progress=True), OptionError, r"\.run\(progress=\.\.\.\)"),
        (lambda flow: flow.batch(0), OptionError, "a whole number from 1"),
        (lambda flow: flow.batch(2.5), OptionError, "a whole number from 1"),
        (lambda flow: flow.batch(None), OptionError, "a whole number from 1"),
        (lambda flow: flow.batch(2, within=0), OptionError, "seconds above 0"),
        (lambda flow: flow.window(), OptionError, "seconds=, items= or both"),
        (lambda flow: flow.window(seconds=-1), OptionError, "seconds above 0"),
        (lambda flow: flow.window(items=True), OptionError, "a whole number from 1"),
        (lambda flow: flow.to(plait.write.jsonl("out.jsonl"), width=3), OptionError, "a writer takes no options"),
        (lambda flow: flow.to("out.jsonl"), TypeError, "takes a function; got 'str'"),
        (lambda flow: flow.map(double).run(nope=1), UnknownOption, "There is no option 'nope'"),
        (lambda flow: flow.map(double).run(name="x"), OptionError, r"\.map\(fn, name=\.\.\.\)"),
        (lambda flow: flow.map(double).run(width=0), OptionError, "a whole number from 1"),
        (lambda flow: flow.map(double).run(progress=3), OptionError, "True, False or None"),
        (lambda flow: flow.map(double).run(journal=3), OptionError, "a path"),
        (lambda flow: flow.map(double, max_failures=3), OptionError, "on_error"),
        (lambda flow: plait.flow(3), TypeError, "iterable of items; got 'int'"),
    ],
)
def test_what_is_wrong_is_said_at_the_call(spoil, error, says):
    with pytest.raises(error, match=says):
        spoil(plait.flow(range(3)))


# --- immutable, run anew ------------------------------------------------------------------------------------------


def test_a_flow_stays_as_it_is():
    flow = plait.flow(range(6))
    batched, doubled = flow.batch(4), flow.map(double)
    longer = doubled.map(abs).batch(2)
    assert list(flow) == list(range(6))
    assert list(batched) == [[0, 1, 2, 3], [4, 5]]
    assert list(doubled) == [0, 2, 4, 6, 8, 10]
    assert list(longer) == [[0, 2], [4, 6], [8, 10]]
    assert list(doubled.filter(lambda x: x > 4)) == [6, 8, 10]
    assert list(doubled) == [0, 2, 4, 6, 8, 10]


@cases()
def test_a_flow_can_be_run_again(case):
    flow = staged(case, plait.flow(range(30)), "map", double).batch(7)
    first = list(flow)
    assert first == list(flow) == list(flow.run())
    with flow.run() as one, flow.run() as other:
        assert list(zip(one, other, strict=True)) == list(zip(first, first, strict=True))


# --- sources ------------------------------------------------------------------------------------------------------


@cases()
def test_an_async_source(case):
    async def source():
        for x in range(30):
            yield x

    flow = staged(case, plait.flow(source()), "map", double)
    assert list(flow.batch(30)) == [[x * 2 for x in range(30)]]
    flow = staged(case, plait.flow(source()).batch(10), "map", sum)
    assert asyncio.run(gathered(flow)) == [45, 145, 245]


@cases()
def test_an_async_source_that_can_be_read_anew_is_read_once(case):
    class Numbers:
        read = 0

        async def __aiter__(self):
            self.read += 1
            for x in range(30):
                yield x

    numbers = Numbers()
    assert list(staged(case, plait.flow(numbers), "map", double).map(abs)) == [x * 2 for x in range(30)]
    assert numbers.read == 1


@cases()
def test_a_run_or_a_flow_as_a_source(case):
    def source():
        return staged(case, plait.flow(range(30)), "map", double)

    for make in (source, lambda: source().run(), lambda: plait.map(double, range(30), model="threads")):
        assert list(staged(case, plait.flow(make()), "map", double)) == [x * 4 for x in range(30)]
        assert asyncio.run(gathered(staged(case, plait.flow(make()), "map", double))) == [x * 4 for x in range(30)]


@cases()
def test_a_source_with_nothing_but_getitem(case):
    class Old:
        def __getitem__(self, at):
            if at >= 5:
                raise IndexError
            return at

    assert list(staged(case, plait.flow(Old()), "map", double).map(abs)) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_rows_of_a_table(library):
    module = pytest.importorskip(library)
    columns = {"a": [1, 2, 3], "b": ["x", "y", "z"]}
    table = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
    assert list(plait.flow(table).map(operator.itemgetter("b"))) == ["x", "y", "z"]
    assert list(plait.flow(table)) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]


# --- where async stages run ---------------------------------------------------------------------------------------

WHO = contextvars.ContextVar("WHO", default="nobody")


@pytest.mark.parametrize("model", ["async", "auto"])
def test_async_stages_run_on_the_callers_loop_in_its_context(model):
    async def who(x):
        return WHO.get(), id(asyncio.get_running_loop())

    async def consume():
        WHO.set("me")
        flow = plait.flow(range(5)).map(double, model="threads").map(who, model=model).map(tuple, model="threads")
        return set(await flow.run()) == {("me", id(asyncio.get_running_loop()))}

    assert asyncio.run(consume())


def test_contextvars_reach_every_stage():
    WHO.set("you")
    try:
        flow = plait.flow(range(5)).map(lambda x: [WHO.get()], model="threads")
        assert list(flow.map(lambda seen: [*seen, WHO.get()], model="threads")) == [["you", "you"]] * 5
        assert list(plait.flow(WHO.get() for _ in range(2)).batch(2, within=9).map(list)) == [["you", "you"]]
        flow = plait.flow(range(2)).map(lambda x: WHO.get(), model="serial")
        assert list(flow.batch(2, within=9)) == list(flow.window(items=2)) == [["you", "you"]]
    finally:
        WHO.set("nobody")


@cases(lambda case: not case.is_async)
def test_a_flow_inside_an_item(case):
    def inner(x):
        return sum(plait.flow(range(x)).map(double).filter(lambda y: y > 2).batch(3).unbatch())

    want = [sum(y * 2 for y in range(x) if y > 1) for x in range(12)]
    assert list(staged(case, plait.flow(range(12)), "map", inner)) == want


@cases(lambda case: case.is_async and case.model != "serial")
def test_an_async_flow_inside_a_coroutine(case):
    async def inner(x):
        async def twice(y):
            return y * 2

        return sum(await plait.flow(range(x)).map(twice).map(abs).run())

    assert list(plait.flow(range(6)).map(inner, model=case.model, workers=2)) == [x * (x - 1) for x in range(6)]


@pytest.mark.parametrize("how", ["tap", "filter"])
def test_a_tap_or_filter_that_changes_its_item_is_refused_with_a_journal(tmp_path, how):
    """A rerun would go on with the item as it was."""

    def mark(item):
        item["seen"] = True
        return True

    def flow():
        return getattr(plait.flow([{"a": 1}]), how)(mark).map(dict)

    assert list(flow()) == [{"a": 1, "seen": True}]
    with pytest.raises(plait.JournalError, match=r"has changed its item.*Change items in \.map\(\)"):
        list(flow().run(journal=tmp_path / "run.db"))


def test_what_gives_back_the_item_is_journalled_by_its_verdict(tmp_path):
    """A tuple would not come back from a journal as it was; but of `tap` and `filter` only the verdict has to."""
    ran = []
    flow = plait.flow([(1, 2), (3, 4), (5, 6)]).tap(ran.append).filter(lambda pair: pair[0] > 1).map(sum)
    for expected in ([(1, 2), (3, 4), (5, 6)], []):
        assert list(flow.run(journal=tmp_path / "run.db")) == [7, 11]
        assert ran == expected
        ran.clear()
