"""`plait.advise` with real functions: each item once, the right model, and the truth where it could not find out."""

import asyncio
import itertools
import os
import threading
import time

import pytest

import plait

pytestmark = pytest.mark.slow  # it tries models for seconds

SECONDS = 3.0


def sums(n: int) -> int:
    total = 0
    for i in range(10_000):
        total += i * n
    return total


def sleeps(n: int) -> int:
    time.sleep(0.01)
    return n


def sleeps_briefly(n: int) -> int:
    time.sleep(0.002)
    return n


def sleeps_long(n: int) -> int:
    time.sleep(0.6)
    return n


def yields(n: int):
    yield n


def dies_in_workers(n: int) -> None:
    if os.getpid() != int(os.environ["PLAIT_TEST_MAIN"]):
        os._exit(3)
    sums(n)


async def sleeps_async(n: int) -> int:
    await asyncio.sleep(0.01)
    return n


def noted(item):
    calls, n = item
    calls.note(n)
    time.sleep(0.001)


def fails(n: int) -> int:
    time.sleep(0.001)
    raise ValueError(f"no {n}")


def fails_at_odd(n: int) -> int:
    time.sleep(0.001)
    if n % 2:
        raise ValueError(f"odd: {n}")
    return n


def with_resource(n: int, *, scale: int) -> int:
    return n * scale


def row(advice: plait.Advice, model: str):
    return next(row for row in advice.rows if row.model == model)


def tried(advice: plait.Advice) -> set[str]:
    return {row.model for row in advice.rows if row.measured is not None}


class TestTheChoice:
    def test_a_function_that_waits_gets_many_threads(self):
        advice = plait.advise(sleeps, itertools.count(), seconds=SECONDS)
        at = advice.placement
        assert at.style == "threads"
        assert at.width * (at.workers or 1) >= 16
        assert row(advice, advice.model).measured > 10 * row(advice, "serial").measured
        assert "since the function mostly waits" in advice.sentence
        paces = [rate for model, _, rate in advice.widths if model == "threads"]
        assert len(paces) >= 2
        assert paces[1] > paces[0]

    def test_an_async_function_gets_a_loop(self):
        advice = plait.advise(sleeps_async, itertools.count(), seconds=SECONDS)
        assert (advice.evidence, advice.placement.style) == (None, "loop")
        assert advice.placement.width >= 16
        assert {"async", "processes+async"} == {row.model for row in advice.rows}
        assert "the function is async" in advice.sentence

    def test_pure_python_gets_processes_or_a_loop_and_never_threads(self):
        advice = plait.advise(sums, itertools.count(), seconds=SECONDS)
        assert advice.model in ("processes", "serial")
        assert row(advice, "threads").verdict != "best"
        assert tried(advice) >= {"serial", "threads", "processes"}

    def test_tiny_items_stay_in_a_plain_loop(self):
        advice = plait.advise(abs, itertools.count(), seconds=SECONDS)
        assert advice.model == "serial"
        assert advice.code == 'plait.map(abs, items, model="serial")'

    def test_the_line_of_code_runs(self):
        advice = plait.advise(sleeps, range(300), seconds=1.0)
        assert list(eval(advice.code, {"plait": plait, "sleeps": sleeps, "items": range(5)})) == [0, 1, 2, 3, 4]
        assert list(plait.map(sleeps, range(5), model=advice.placement)) == [0, 1, 2, 3, 4]


class TestItems:
    @pytest.mark.parametrize("options", [{}, {"isolate": True}, {"timeout": 5.0}], ids=str)
    def test_each_is_handed_over_once(self, calls, options):
        items = [(calls, n) for n in range(400)]
        advice = plait.advise(noted, iter(items), seconds=2.0, **options)
        assert set(calls.counts().values()) == {1}
        assert advice.items == len(calls.counts())
        assert sorted(map(int, calls.counts())) == list(range(advice.items)), (
            "in the order of the source, none left out"
        )

    def test_what_is_not_needed_stays_in_the_iterator(self):
        source = iter(range(10**9))
        advice = plait.advise(sleeps, source, seconds=0.5)
        assert next(source) == advice.items

    def test_the_sample_bounds_them(self, calls):
        advice = plait.advise(noted, ((calls, n) for n in range(10_000)), sample=30, seconds=SECONDS)
        assert 20 < advice.items == len(calls.counts()) <= 30

    def test_when_they_run_out_it_is_said(self):
        advice = plait.advise(sleeps, iter(range(8)), seconds=SECONDS)
        assert advice.items == 8
        untried = [row for row in advice.rows if row.measured is None]
        assert untried
        assert all(row.verdict.startswith("not tried: ") and row.predicted for row in untried)

    def test_one_item(self):
        advice = plait.advise(sums, [1])
        assert advice.items == 1
        assert "predicted" in advice.sentence or advice.model == "serial"

    def test_none_at_all(self):
        advice = plait.advise(sums, [])
        assert (advice.items, advice.sentence) == (0, "There was no item to try.")
        assert tried(advice) == set()
        str(advice)

    def test_an_async_source(self, nothing_left):
        async def numbers():
            for n in itertools.count():
                yield n

        with plait.Pool(workers=2):
            advice = plait.advise(sleeps, numbers(), seconds=1.0, model=("serial", "threads"))
        assert advice.model == "threads"

    def test_a_source_that_raises_is_the_users_to_know(self):
        def broken():
            yield from range(100)
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            plait.advise(sleeps, broken(), seconds=SECONDS)


class TestFew:
    """Few items, or slow ones: every model gets its share, and what could not be tried is predicted."""

    @pytest.mark.parametrize("known", [True, False])
    def test_no_model_eats_the_items_of_the_others(self, known):
        items = range(500) if known else (n for n in range(500))
        advice = plait.advise(sleeps_briefly, items, seconds=2.0)
        assert advice.placement.style == "threads"
        assert advice.placement.width * (advice.placement.workers or 1) >= 16
        assert tried(advice) == {"serial", "threads", "processes", "processes+threads"}

    def test_a_slow_source_sets_the_pace(self):
        def slowly():
            for n in range(20):
                time.sleep(0.2)
                yield n

        began = time.monotonic()
        advice = plait.advise(abs, slowly(), seconds=2.0)
        assert time.monotonic() - began < 3
        assert advice.placement.model == "serial"
        assert advice.sentence.endswith("and the source sets the pace.")

    def test_slow_items_are_tried_on_what_is_predicted_first(self):
        advice = plait.advise(sleeps_long, range(200), seconds=1.0)
        assert "threads" in tried(advice)
        assert advice.model in ("threads", "processes+threads")  # as good, where others keep this process from the CPU

    def test_one_is_singular(self):
        assert plait.advise(sums, [1]).notes[-1] == "1 item was run, each once."


class TestPromises:
    def test_a_pinned_function_never_leaves_the_process(self):
        pids = set()

        def counts(n):
            pids.add(os.getpid())
            time.sleep(0.002)

        advice = plait.advise(counts, itertools.count(), seconds=1.0)
        assert pids == {os.getpid()}
        assert advice.placement.place == "here"
        assert row(advice, "processes").verdict.startswith("not tried: ")

    def test_with_a_timeout_nothing_runs_here(self, calls):
        advice = plait.advise(sleeps, itertools.count(), seconds=2.0, timeout=5.0)
        assert advice.evidence is None
        assert tried(advice) == {"processes", "processes+threads"}
        assert "timeout=5" in advice.code

    def test_model_says_what_is_tried(self):
        advice = plait.advise(sleeps, itertools.count(), seconds=1.0, model=("threads", "serial"), width=8)
        assert [row.model for row in advice.rows] == ["serial", "threads"]
        assert max(width for _, width, _ in advice.widths) <= 8
        exact = plait.Placement("here", "threads", width=3)
        assert plait.advise(sleeps, itertools.count(), seconds=0.5, model=exact).widths[0][:2] == ("threads", 3)

    def test_a_task_brings_its_options(self):
        task = plait.task(resources={"scale": lambda: 3}, model=("serial",))(with_resource)
        advice = plait.advise(task, itertools.count(), seconds=0.5)
        assert (advice.failures, advice.function) == (0, "with_resource")
        assert "resources=resources" in advice.code

    def test_a_function_that_gives_a_coroutine_is_async(self):
        advice = plait.advise(lambda n: sleeps_async(n), itertools.count(), seconds=1.0, model=("async",))
        assert advice.model == "async"
        assert advice.failures == 0


class TestFailures:
    def test_some_are_counted_and_told(self):
        advice = plait.advise(fails_at_odd, itertools.count(), seconds=1.0)
        assert advice.failures == pytest.approx(advice.items / 2, abs=100)
        assert any("items failed, the last with ValueError: odd" in note for note in advice.notes)
        assert advice.model != "serial"

    def test_when_all_fail_that_is_the_advice(self):
        advice = plait.advise(fails, itertools.count(), seconds=1.0)
        assert advice.failures == advice.items > 0
        assert advice.sentence.startswith("Every item failed, the last with ValueError: no ")

        assert "->" not in str(advice)
        assert (advice.chosen, advice.code, advice.to_dict()["model"]) == (False, "", None)

    def test_a_generator_function_is_said_to_run_nothing(self):
        advice = plait.advise(yields, range(100), seconds=1.0)
        assert advice.sentence.startswith("yields gives a generator: calling it runs none of its body.")
        assert (advice.items, advice.chosen) == (0, False)

    def test_a_sync_function_under_async_is_not_a_plan(self):
        advice = plait.advise(sleeps, range(100), seconds=1.0, model="async")
        assert "the function is not async: make it `async def`" in advice.sentence
        assert (advice.failures, advice.chosen) == (0, False)

    def test_workers_that_die_are_given_up(self, monkeypatch):
        monkeypatch.setenv("PLAIT_TEST_MAIN", str(os.getpid()))
        began = time.monotonic()
        advice = plait.advise(dies_in_workers, itertools.count(), seconds=2.0)
        assert time.monotonic() - began < 6
        assert advice.placement.place == "here"
        assert "its workers died: exited with code 3" in row(advice, "processes").verdict
        assert any(note.startswith("In other processes its workers died") for note in advice.notes)


class TestEnding:
    def test_it_keeps_to_its_time(self):
        began = time.monotonic()
        plait.advise(sleeps, itertools.count(), seconds=1.0)
        assert time.monotonic() - began < 4

    def test_ctrl_c_ends_it_at_once(self, nothing_left):
        import _thread

        with plait.Pool(workers=2):
            timer = threading.Timer(0.7, _thread.interrupt_main)
            timer.start()
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                plait.advise(sleeps, itertools.count(), seconds=20.0)
            assert time.monotonic() - began < 4
            timer.join()

    def test_nothing_is_left(self, nothing_left):
        with plait.Pool(workers=2):
            plait.advise(sleeps, itertools.count(), seconds=1.0)
