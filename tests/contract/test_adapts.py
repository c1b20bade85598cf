"""A run changes its width and its placement while it goes on, and no item is lost, run twice or out of order for it."""

import asyncio
import socket
import threading
import time
from collections import Counter

import pytest

import plait
from plait.placement import Placement

NAP = 0.005


def spin(seconds: float) -> None:
    """Compute, holding the GIL, for so much CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def models(run: plait.Run) -> list[str]:
    """What it ran under, one after the other."""
    return [change["model"] for change in run.report.to_dict()["changes"]]


def widths(run: plait.Run) -> list[int]:
    return [change["width"] for change in run.report.to_dict()["changes"]]


def turns_into_computing(item: int) -> int:
    if item < 600:
        time.sleep(NAP)
    else:
        spin(0.006)
    return item


def turns_heavy(item: int) -> int:
    if item >= 5000:
        spin(0.03)
    return item


def naps(item: int) -> int:
    time.sleep(NAP)
    return item


async def waits(item: int) -> int:
    await asyncio.sleep(0.05)
    return item


async def computes(item: int) -> int:
    await asyncio.sleep(0.002)
    spin(0.003)
    return item


class TestPlacement:
    def test_items_that_begin_to_compute_move_to_processes(self):
        run = plait.map(turns_into_computing, range(1700), width=32)
        assert list(run) == list(range(1700))
        assert models(run)[0] == "threads"
        assert any(model.startswith("processes") for model in models(run)), run.report.explain()
        assert "GIL held" in run.report.explain()

    def test_items_that_a_consumer_runs_itself_move_when_they_grow_heavy(self):
        run = plait.map(turns_heavy, range(5060))
        assert list(run) == list(range(5060))
        first, *_, last = models(run)
        assert first == "serial"
        assert last.startswith("processes")  # with threads, where the machine is so busy that items seem to wait

    def test_a_loop_whose_thread_is_saturated_gets_others(self):
        run = plait.map(computes, range(900), width=64)
        assert list(run) == list(range(900))
        assert models(run)[:2] == ["async", "processes+async"]

    def test_on_its_callers_own_loop_it_stays(self):
        async def main() -> plait.Run:
            run = plait.map(computes, range(400), width=64)
            assert await run == list(range(400))
            return run

        assert set(models(asyncio.run(main()))) == {"async"}

    def test_a_placement_that_was_asked_for_is_kept(self):
        run = plait.map(turns_into_computing, range(800), model=Placement("here", "threads", width=16))
        assert list(run) == list(range(800))
        assert (models(run), widths(run)) == (["threads"], [16])

    def test_a_moving_run_calls_each_item_once_and_opens_no_resource_twice_for_nothing(self):
        calls: Counter[int] = Counter()
        lock = threading.Lock()

        def counted(item: int) -> int:  # uses a lock: it stays here, and yet it may change its width
            with lock:
                calls[item] += 1
            time.sleep(NAP)
            return item

        run = plait.map(counted, range(1500))
        assert list(run) == list(range(1500))
        assert set(calls.values()) == {1}
        assert len(calls) == 1500


class TestWidth:
    def test_it_grows_while_that_pays(self):
        run = plait.map(waits, range(6000))
        assert list(run) == list(range(6000))
        assert max(widths(run)) >= 512, run.report.explain()

    def test_a_short_job_of_long_sleeps_is_begun_before_the_first_has_ended(self):
        run = plait.map(lambda item: (time.sleep(0.5), item)[1], range(300))
        assert list(run) == list(range(300))
        changes = run.report.to_dict()["changes"]
        assert max(change["width"] for change in changes if change["at"] < 0.5) > 64, run.report.explain()

    def test_what_holds_a_connection_is_not_sent_in_such_numbers_unheard(self):
        def asks(item: int) -> int:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                time.sleep(0.3)
            return item

        run = plait.map(asks, range(300))
        assert list(run) == list(range(300))
        changes = run.report.to_dict()["changes"]
        assert max(change["width"] for change in changes if change["at"] < 0.3) <= 64, run.report.explain()

    @pytest.mark.parametrize("model", ["threads", "async", "processes+threads", "processes+async"])
    def test_never_beyond_its_bound(self, model):
        function = waits if "async" in model else naps
        run = plait.map(function, range(800), model=model, width=24)
        assert sorted(run) == list(range(800))
        assert max(widths(run)) <= 24

    def test_in_progress_at_once_are_no_more_than_it_says(self):
        active, most = 0, [0]

        async def watched(item: int) -> int:
            nonlocal active
            active += 1
            most.append(active)
            await asyncio.sleep(0.01)
            active -= 1
            return item

        run = plait.map(watched, range(4000))
        assert len(list(run)) == 4000
        assert max(most) <= max(widths(run))

    def test_a_service_that_rejects_is_not_flooded(self):
        active, rejected, late = 0, [], []

        class Rejected(Exception):
            pass

        async def served(item: int) -> int:
            nonlocal active
            if active >= 100:
                rejected.append(time.monotonic())
                await asyncio.sleep(0.001)
                raise Rejected
            active += 1
            try:
                await asyncio.sleep(0.02)
            finally:
                active -= 1
            return item

        began = time.monotonic()
        run = plait.map(served, range(15_000), retries=plait.Retry(times=100, backoff=0.02), on_error="skip")
        assert len(list(run)) == 15_000
        late = [at for at in rejected if at > began + 1.5]
        assert len(late) < 0.05 * 15_000, run.report.explain()

    def test_a_name_leaves_the_width_open(self):
        run = plait.map(naps, range(4000), model="threads")
        assert list(run) == list(range(4000))
        assert widths(run)[-1] > 16


class TestChangesAreTold:
    def test_observers_hear_of_each_placement(self):
        heard = []
        run = plait.map(turns_into_computing, range(1700), width=32)
        with run.observe(heard.append, types=[plait.events.PlacementChosen]):
            run.wait()
        assert heard[0].model == "threads"
        assert len(heard) >= 2

    def test_the_environment_may_pin_a_model(self, monkeypatch):
        monkeypatch.setenv("PLAIT_MODEL", "processes")
        run = plait.map(naps, range(20))
        assert list(run) == list(range(20))
        assert models(run) == ["processes"]
        run = plait.map(naps, range(20), model="serial")
        assert list(run) == list(range(20))
        assert models(run) == ["serial"], "what the code says is stronger"

    def test_a_pin_that_does_not_exist_is_an_error_at_the_call(self, monkeypatch):
        monkeypatch.setenv("PLAIT_MODEL", "thread")
        with pytest.raises(plait.OptionError, match="PLAIT_MODEL='thread'"):
            plait.map(naps, range(20))

    def test_a_pin_that_does_not_suit_a_function_leaves_it_alone(self, monkeypatch):
        monkeypatch.setenv("PLAIT_MODEL", "threads")
        run = plait.map(waits, range(20))
        assert list(run) == list(range(20))
        assert models(run)[0] == "async"


class TestTrouble:
    """What goes wrong beside a change is not the change's to spoil."""

    def test_cancelling_while_an_item_of_the_consumers_own_is_slow(self, until):
        slow, go = threading.Event(), threading.Event()

        def item(n: int) -> int:
            if n == 50_000:
                slow.set()
                go.wait(10)
            return n

        def cancel() -> None:
            slow.wait(10)
            until(lambda: run._drive._cancelled, what="the slow item to be noticed")
            run.cancel()
            go.set()

        run = plait.map(item, range(100_000))
        cancelling = threading.Thread(target=cancel)
        cancelling.start()
        with pytest.raises(plait.RunCancelled):
            list(run)
        cancelling.join()

    def test_a_retry_that_waits_is_no_slow_item(self):
        failed = []

        def item(n: int) -> int:
            if n == 30_000 and not failed:
                failed.append(n)
                raise OSError("once")
            return n

        run = plait.map(item, range(60_000), retries=plait.Retry(1, backoff=0.4))
        assert list(run) == list(range(60_000))

    def test_a_slow_last_item_ends_the_run_all_the_same(self):
        opened = []

        def open_it() -> object:
            opened.append(1)
            return object()

        def item(n: int, thing: object) -> int:
            if n == 20_000:
                time.sleep(0.4)
            return n

        run = plait.map(item, range(20_001), resources={"thing": open_it}, model=("serial", "threads"))
        assert list(run) == list(range(20_001))
        assert len(opened) == 2, "once to measure, once to run"

    def test_resources_of_which_there_are_few_bound_the_width(self, caplog):
        lock, opened = threading.Lock(), []

        def connect() -> object:
            with lock:
                if len(opened) >= 20:
                    raise OSError("too many connections")
                opened.append(1)
            return object()

        def fetch(n: int, connection: object) -> int:
            time.sleep(NAP)
            return n

        run = plait.map(fetch, range(3000), resources={"connection": connect}, model="threads")
        assert list(run) == list(range(3000))
        assert "goes on with" in caplog.text

    def test_none_at_all_is_an_error(self):
        def connect() -> object:
            raise OSError("refused")

        with pytest.raises(OSError, match="refused"):
            list(plait.map(lambda n, connection: n, range(10), resources={"connection": connect}, model="threads"))

    def test_what_cannot_travel_does_not_move(self):
        held = threading.Lock()

        def step(n: int, lock: object) -> int:
            if n > 300:
                spin(0.004)
            else:
                time.sleep(NAP)
            return n

        run = plait.map(step, range(700), resources={"lock": lambda: held}, width=32)
        assert list(run) == list(range(700))
        assert not any(model.startswith("processes") for model in models(run))

    def test_an_item_that_the_run_goes_on_without_may_fail_and_be_tried_again(self):
        calls: Counter[int] = Counter()
        lock = threading.Lock()

        def item(n: int) -> int:
            with lock:
                calls[n] += 1
                first = calls[n] == 1
            time.sleep(0.15)
            if n == 0 and first:
                raise OSError("once")
            return n

        run = plait.map(item, range(40), retries=1)
        assert list(run) == list(range(40))
        assert calls[0] == 2
        assert run.report.retries == 1

    def test_observers_are_told_of_it_as_well(self):
        told = []
        run = plait.map(lambda n: (time.sleep(0.1), n)[1], range(30))
        with run.observe(told.append, types=[plait.events.ChunkFinished]):
            assert list(run) == list(range(30))
        assert sum(event.items for event in told) == 30

    def test_nothing_is_left_of_a_run_that_changed_and_was_left(self, nothing_left):
        for stop in (5, 400):
            with plait.map(turns_into_computing, range(1700), width=32) as run:
                for result in run:
                    if result >= stop:
                        break


@pytest.mark.timeout(120)
def test_items_that_wait_for_long_in_workers_are_not_waited_for_before_others_begin(tmp_path, until):
    """With a timeout nothing is measured here, and no result comes for long that could tell waiting from computing."""

    def hold(number):
        (tmp_path / str(number)).touch()
        while not (tmp_path / "go").exists():
            time.sleep(0.02)

    with plait.map(hold, range(12), timeout=100) as run:
        run.start()
        until(lambda: len(list(tmp_path.iterdir())) == 12, what="all items in progress")
        (tmp_path / "go").touch()
        assert len(list(run)) == 12
