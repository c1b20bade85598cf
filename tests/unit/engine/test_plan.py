"""Which placement a run gets: asked for, measured, or left to workers to find out."""

from contextvars import ContextVar
from functools import partial
from threading import Lock, Thread

import pytest

from plait import machine
from plait.engine.drive import PROBED
from plait.engine.earlier import Earlier
from plait.engine.plan import LOOP_WIDTH, WAITING, Planning, asked_for, with_defaults
from plait.engine.rules import Rules
from plait.errors import RunCancelled
from plait.placement import Placement
from tests.unit.engine.seats import Bench

SERIAL = Placement("here", "serial", 1, 1)
colour: ContextVar[str] = ContextVar("colour", default="none")


def double(item):
    return item * 10


class TestAskedFor:
    def test_nothing_in_particular(self):
        assert asked_for(Rules("stage"), is_async=False) is None
        assert asked_for(Rules("stage", model=("serial", "threads")), is_async=False) is None

    def test_a_model_with_every_number_known(self):
        assert asked_for(Rules("stage", model="serial"), False) == SERIAL
        assert asked_for(Rules("stage", model="async"), True) == Placement("here", "loop", 1, LOOP_WIDTH)
        processes = Placement("processes", "serial", machine.cores(), 1)
        assert asked_for(Rules("stage", model="processes"), False) == processes

    def test_bounds_are_kept(self):
        rules = Rules("stage", model="processes+threads", workers=3, width=5)
        assert asked_for(rules, False) == Placement("processes", "threads", 3, 5)

    def test_a_placement_is_taken_as_it_is(self):
        asked = Placement("processes", "loop", 2, 7)
        assert asked_for(Rules("stage", model=asked), True) == asked

    def test_serial_of_an_async_function_is_one_at_a_time_on_a_loop(self):
        assert asked_for(Rules("stage", model="serial"), True) == Placement("here", "loop", 1, 1)


def test_workers_are_no_number_of_this_process():
    assert with_defaults(Placement("here", "threads"), Rules("stage", workers=4)).workers == 1


class Run:
    """`Planning` on a bench of its own."""

    def __init__(self, function, items, *, is_async: bool = False, total: int | None = None, **rules) -> None:
        self.bench = Bench(**{"buffer": PROBED, **rules})
        self.bench.figures.total = total
        self.source = iter(items)
        earlier = Earlier(function, self.bench.rules)
        planning = Planning(function, self.bench.rules, self.bench.lane, earlier, is_async=is_async)
        self.chosen = planning.choose(self.source)


class TestMeasured:
    def test_a_short_source_is_done_before_there_is_anything_to_choose(self):
        calls: list[int] = []
        run = Run(lambda item: calls.append(item) or item * 10, [1, 2, 3])
        assert run.chosen.ended
        assert run.chosen.placement == SERIAL
        assert run.chosen.reasons == ("all items were run while measuring",)
        assert calls == [1, 2, 3]
        run.bench.lane.end()
        assert run.bench.results() == [10, 20, 30]

    def test_a_length_that_is_too_small_loses_nothing(self):
        """A list that grows while it is worked on, a length that is an estimate."""
        assert not Run(double, range(100_000), total=10).chosen.ended

    def test_what_was_measured_is_delivered_and_the_rest_left(self):
        run = Run(double, range(100_000))
        measured = run.bench.figures.read
        assert 0 < measured < 100_000
        assert next(run.source) == measured
        run.bench.lane.end()
        assert run.bench.results() == [10 * item for item in range(measured)]

    def test_tiny_items_may_be_run_by_the_consumer(self):
        chosen = Run(double, range(100_000)).chosen
        assert chosen.placement == SERIAL
        assert chosen.inline

    def test_items_and_results_that_cannot_travel_stay_here(self):
        def locked(item):
            return Lock(), sum(range(50_000))

        chosen = Run(locked, range(100_000)).chosen
        assert chosen.placement.place == "here"
        assert any("cannot go to another process" in reason for reason in chosen.reasons)

    def test_no_more_are_run_than_the_buffer_holds(self, until):
        bench = Bench(buffer=100)
        chosen = []
        earlier = Earlier(double, bench.rules)
        choosing = partial(
            Planning(double, bench.rules, bench.lane, earlier, is_async=False).choose, iter(range(100_000))
        )
        thread = Thread(target=lambda: chosen.append(choosing()))
        thread.start()
        until(lambda: bench.outlet._sources, what="measuring that waits for the consumer")
        assert bench.figures.read <= 100
        bench.lane.stop(RunCancelled())
        thread.join(5.0)
        assert chosen[0].ended

    def test_an_item_that_failed_is_no_end_of_measuring(self):
        run = Run(lambda item: 10 // item, [0, 1, 2], on_error="skip")
        run.bench.lane.end()
        assert run.bench.results() == [10, 5]
        assert run.bench.figures.failures == 1

    def test_the_first_failure_ends_it_where_that_ends_the_run(self):
        run = Run(lambda item: 10 // item, range(100_000))
        assert run.bench.figures.read == 1
        assert run.bench.lane.over
        assert run.chosen.ended

    def test_a_source_that_raises(self):
        def source():
            yield 1
            raise OSError("disk")

        run = Run(double, source())
        assert run.chosen.ended
        assert run.chosen.reasons == ("the source raised",)
        assert run.bench.outlet.take() == [10]
        with pytest.raises(OSError, match="disk"):
            run.bench.outlet.take()

    def test_what_an_item_sets_does_not_reach_the_next(self):
        def function(item):
            before = colour.get()
            colour.set(f"set by {item}")
            return before

        token = colour.set("callers")
        try:
            run = Run(function, [1, 2])
        finally:
            colour.reset(token)
        run.bench.lane.end()
        assert run.bench.results() == ["callers", "callers"]

    def test_resources_are_opened_for_it_and_closed_after_it(self):
        class Handle:
            opened, closed = 0, 0

            def __init__(self):
                Handle.opened += 1

            def close(self):
                Handle.closed += 1

        Run(lambda item, handle: item, range(3), resources={"handle": Handle})
        assert (Handle.opened, Handle.closed) == (1, 1)

    def test_a_coroutine_where_none_was_expected_leaves_its_item_to_a_loop(self):
        async def coroutine(item):
            return item

        run = Run(lambda item: coroutine(item), [7, 8])
        assert run.chosen.placement.style == "loop"
        assert run.chosen.unread == (7,)
        assert next(run.source) == 8


class TestNotMeasured:
    def refuse(self, item):
        raise AssertionError("it was run here")

    def test_isolated_it_never_runs_here(self):
        chosen = Run(partial(self.refuse), range(5), isolate=True).chosen
        assert chosen.placement.place == "processes"
        assert not chosen.on_trial

    def test_an_async_function_gets_a_loop(self):
        async def function(item):
            return item

        run = Run(function, range(5), is_async=True)
        assert run.chosen.placement == Placement("here", "loop", 1, LOOP_WIDTH)
        assert run.bench.figures.read == 0

    def test_with_a_timeout_workers_find_out_whether_items_wait(self):
        run = Run(double, range(5), timeout=3.0, workers=2)
        assert run.chosen.on_trial
        assert run.chosen.placement == Placement("processes", "threads", 2, WAITING)
        assert run.bench.figures.read == 0, "one that hangs could not be ended here"

    def test_its_width_is_a_bound_there_too(self):
        assert Run(double, range(5), timeout=3.0, width=4).chosen.placement.width == 4

    def test_where_threads_are_not_allowed_there_is_nothing_to_find_out(self):
        chosen = Run(double, range(5), timeout=3.0, model=("serial", "processes")).chosen
        assert not chosen.on_trial
        assert chosen.placement.model == "processes"
