"""The probe on real work: what it says of it, and that it keeps its promises. Runs under any load of the machine."""

import array
import hashlib
import json
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from plait.fit.canary import Canary
from plait.fit.choose import Situation, choose
from plait.fit.evidence import Evidence
from plait.fit.probe import BEYOND_FIRST, BUDGET, LONG, MOST_ITEMS, MOST_SECONDS, TINY_ITEMS, Probe, is_enough
from plait.fit.sizes import size_of

BYTES = os.urandom(500_000)
TEXT = b"a line of text, %d of many\n" * 20_000
DOCUMENT = json.dumps([{"number": n, "text": str(n), "list": [n] * 5} for n in range(5000)])
MATRIX = np.random.default_rng(1).random((400, 400))


def spin(count: int) -> int:
    total = 0
    for n in range(count):
        total += n * n
    return total


def measure(fn: Callable[[Any], Any]) -> Evidence:
    """In a thread of its own, the main thread parked, as the engine does it."""
    found: list[Evidence] = []

    def drive() -> None:
        with Probe() as probe:
            item = 0
            while not probe.enough():
                probe.call(fn, item)
                item += 1
            found.append(probe.evidence())

    thread = threading.Thread(target=drive)
    thread.start()
    thread.join()
    return found[0]


def others() -> float:
    """CPU seconds that everybody else on this machine has used so far."""
    used, own = psutil.cpu_times(), psutil.Process().cpu_times()
    return sum(used) - used.idle - getattr(used, "iowait", 0.0) - own.user - own.system


def assert_mostly(holds: Callable[[Evidence], bool], probe: Callable[[], Evidence]) -> None:
    """Three probes say so before three others, met by little else on this machine, say something else.

    What a probe says that ran beside much other work counts for it, but not against it. After twenty nothing is proved.
    """
    seen: list[str] = []
    agree = against = 0
    while agree < 3 and against < 3 and len(seen) < 20:
        began, before = time.perf_counter(), others()
        evidence = probe()
        crowded = others() - before > 0.25 * (time.perf_counter() - began)
        held = holds(evidence)
        agree += held
        against += not held and not crowded
        seen.append(f"{'crowded' if crowded else 'quiet'}, {held}: {evidence}")
    if agree < 3 and against < 3:
        pytest.skip("this machine is too busy with other work to tell")
    assert agree >= 3, "\n".join(seen)


# ------------------------------------------------------------------------------------------------- what it says of work

TWO = Situation(cores=2, remaining=100_000)


@pytest.mark.parametrize(
    "fn",
    [lambda x: spin(40_000), lambda x: spin(1_500), lambda x: spin(500_000), lambda x: json.loads(DOCUMENT)],
    ids=["python 2 ms", "python 60 us", "python 30 ms", "json"],
)
def test_python_computes_and_holds_the_gil(fn: Callable[[Any], Any]):
    assert_mostly(
        lambda found: (
            found.cpu_share > 0.7
            and (found.gil_held is None or found.gil_held > 0.6)
            and choose(found, TWO).placement.model == "processes"
        ),
        lambda: measure(fn),
    )


@pytest.mark.parametrize(
    "fn",
    [lambda x: hashlib.sha256(BYTES).digest(), lambda x: zlib.compress(TEXT), lambda x: MATRIX @ MATRIX],
    ids=["sha256", "zlib", "matmul"],
)
def test_hashing_compressing_and_numpy_compute_without_the_gil(fn: Callable[[Any], Any]):
    assert_mostly(
        lambda found: (
            found.cpu_share > 0.7
            and found.gil_held is not None
            and found.gil_held < 0.4
            # A product of matrices may take all cores by itself already: nobody else has use for them.
            and (choose(found, TWO).placement.model == "threads" or found.threads > 1.3)
        ),
        lambda: measure(fn),
    )


def test_threads_of_its_own_show_in_a_first_item_that_is_all_there_is():
    """A product of matrices on a busy machine: its threads wait for each other, and one item is long enough."""

    def with_a_helper(x: Any) -> None:
        helper = threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"a", b"b", 300_000))
        helper.start()
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", 300_000)
        helper.join()

    def one(x: Any) -> Any:
        with Probe() as probe:
            probe.call(with_a_helper, x)
            return probe.evidence()

    assert_mostly(lambda found: found.items == 1 and found.threads > 1.3, lambda: one(0))


def test_short_calls_that_let_the_gil_go_for_a_moment_hold_it():
    """NumPy does so for small arrays: nobody else gets anything done in these moments."""
    small = np.arange(100)

    def steps(x: Any) -> Any:
        array = small + x
        for _ in range(8):
            array = np.roll(array, 1) * 3 % 1009
        return int(array.sum())

    assert_mostly(lambda found: found.gil_held is not None and found.gil_held > 0.6, lambda: measure(steps))


@pytest.mark.parametrize("without", ["", "schedstat"])
@pytest.mark.parametrize("seconds", [0.003, 0.150])
def test_sleeping_waits(seconds: float, without: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLAIT_WITHOUT", without)
    assert_mostly(
        lambda found: found.cpu_share < 0.2 and choose(found, TWO).placement.model == "threads",
        lambda: measure(lambda x: time.sleep(seconds)),
    )


def test_half_waiting_half_python_is_both():
    def fn(x: int) -> None:
        time.sleep(0.008)
        spin(200_000)

    assert_mostly(
        lambda found: 0.25 < found.cpu_share < 0.95 and choose(found, TWO).placement.model == "processes+threads",
        lambda: measure(fn),
    )


def test_items_of_nothing_stay_serial():
    assert_mostly(
        lambda found: (
            TINY_ITEMS < found.items <= MOST_ITEMS
            and found.seconds < 20e-6
            and choose(found, TWO).placement.model == "serial"
        ),
        lambda: measure(lambda x: x),
    )


def test_python_is_told_from_waiting_without_schedstat(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLAIT_WITHOUT", "schedstat")
    assert_mostly(lambda found: found.cpu_share > 0.5, lambda: measure(lambda x: spin(40_000)))


def apart(fn: Callable[[Any], Any], between: Callable[[], Any]) -> Evidence:
    """Ten items, with something else between them."""
    with Probe() as probe:
        for item in range(10):
            between()
            probe.call(fn, item)
        return probe.evidence()


def test_a_slow_source_of_items_that_compute_is_not_taken_for_them():
    assert_mostly(
        lambda found: found.cpu_share > 0.8,
        lambda: apart(lambda x: spin(60_000), lambda: time.sleep(0.004)),
    )


def test_a_busy_source_of_items_that_sleep_is_not_taken_for_them():
    assert_mostly(
        lambda found: found.cpu_share < 0.2 and (found.gil_held is None or found.gil_held < 0.4),
        lambda: apart(lambda x: time.sleep(0.004), lambda: spin(100_000)),
    )


# ------------------------------------------------------------------------------------------------------------ promises


def test_each_item_is_called_once_and_its_result_returned():
    calls: list[int] = []

    def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    with Probe() as probe:
        results = [probe.call(double, item) for item in range(300)]
    assert results == [2 * item for item in range(300)]
    assert calls == list(range(300))
    assert probe.evidence().items == 300


def test_what_the_function_raises_is_raised_and_recorded():
    with Probe() as probe:
        probe.call(str, 1)
        with pytest.raises(ZeroDivisionError):
            probe.call(lambda x: 1 / x, 0)
        with pytest.raises(KeyboardInterrupt):
            probe.call(lambda x: (_ for _ in ()).throw(KeyboardInterrupt), 0)
        evidence = probe.evidence()
    assert (evidence.items, evidence.raised) == (3, 2)
    assert "2 of 3 measured items raised" in evidence.notes


def test_the_first_call_is_set_apart():
    def slow_at_first(x: int) -> int:
        return spin(2_000_000 if x == 0 else 1_000)

    with Probe() as probe:
        for item in range(50):
            probe.call(slow_at_first, item)
        evidence = probe.evidence()
    assert evidence.first_call > 20 * evidence.seconds
    assert evidence.seconds_mean < evidence.first_call / 20


def test_one_long_item_is_evidence_enough():
    def once() -> Evidence:
        evidence = measure(lambda x: spin(5_000_000))
        assert evidence.items == 1
        assert evidence.notes == ("one item was measured, its first-call costs included",)
        return evidence

    assert_mostly(lambda found: found.cpu_share > 0.7 and (found.gil_held or 0.0) > 0.6, once)


def test_a_first_item_that_imports_is_not_enough(tmp_path, monkeypatch):
    (tmp_path / "heavy_for_the_probe.py").write_text("import time; time.sleep(0.15)")
    monkeypatch.syspath_prepend(tmp_path)

    def work(x: int) -> int:
        import heavy_for_the_probe  # type: ignore[import-not-found]  # noqa: F401

        return spin(20_000)

    def once() -> Evidence:
        monkeypatch.delitem(sys.modules, "heavy_for_the_probe", raising=False)
        evidence = measure(work)
        assert evidence.items > 2
        assert "the first item loaded 1 modules" in evidence.notes
        return evidence

    assert_mostly(lambda found: found.cpu_share > 0.7, once)


@pytest.mark.parametrize(
    ("items", "first", "rest", "elapsed", "imported", "enough"),
    [
        (0, 0, 0, 0, False, False),
        (1, LONG * 1.1, 0, LONG, False, True),
        (1, LONG * 1.1, 0, LONG, True, False),
        (1, LONG * 0.9, 0, LONG, False, False),
        (2, LONG * 0.9, LONG * 0.9, LONG, False, True),
        (2, 0.3, 0.001, 0.3, True, False),
        (9, 0.001, BUDGET, BUDGET, False, True),
        (9, 0.001, BUDGET / 2, BUDGET, False, False),
        (9, BUDGET, BEYOND_FIRST, 0.1, False, True),
        (MOST_ITEMS, 0, 0, 0, False, True),
        (5, 0, 0, MOST_SECONDS * 1.1, False, True),
    ],
)
def test_when_it_is_enough(items, first, rest, elapsed, imported, enough):
    assert is_enough(items, first, rest, elapsed, imported) is enough


def test_nothing_is_left_behind(nothing_left):
    for _ in range(3):
        with Probe() as probe:
            probe.call(spin, 10_000)
        probe.close()
    with Probe():
        pass
    measure(lambda x: spin(40_000))


def test_without_an_item_there_is_no_evidence():
    with Probe() as probe:
        assert not probe.enough()
        with pytest.raises(ValueError, match="no item"):
            probe.evidence()
    with pytest.raises(ValueError, match="make a new one"):
        probe.call(str, 1)


def test_the_canary_ends_at_once_and_counts_what_it_was_waiting_for():
    """One call that holds the GIL for long, and the end right after it."""
    numbers = list(np.random.default_rng(2).random(400_000))
    with Canary() as canary:
        sorted(numbers)
    assert canary.ticks
    assert max(tick.late for tick in canary.ticks) > 0.01


# --------------------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("value", "about"),
    [
        (b"x" * 1000, 1000),
        ("x" * 1000, 1000),
        (np.zeros(1000), 8000),
        (array.array("d", [0.0] * 100), 800),
        ([b"x" * 100] * 1000, 100_000),
        (dict.fromkeys(range(100), "x" * 50), 5_000),
        ((np.zeros(100), [np.zeros(100)]), 1600),
        (memoryview(bytes(5000)), 5000),
    ],
)
def test_sizes_are_about_right(value: Any, about: int):
    assert about <= size_of(value) <= 2 * about + 100


def test_sizes_of_anything_are_known_without_running_its_code():
    class Odd:
        @property
        def nbytes(self) -> int:
            raise RuntimeError

        def __len__(self) -> int:
            raise RuntimeError

    endless: list[Any] = []
    endless.append(endless)
    holder = Odd()
    holder.data = b"x" * 1000  # type: ignore[attr-defined]
    assert size_of(Odd()) > 0
    assert size_of(endless) > 0
    assert size_of(holder) > 1000
    assert size_of(None) > 0


def test_what_items_leave_in_memory_is_counted():
    kept: list[bytearray] = []

    def keep(x: Any) -> int:
        kept.append(bytearray(os.urandom(1 << 20)) * 40)  # so much comes from the system, never from what was freed
        time.sleep(0.001)
        return x

    found = measure(keep)
    assert 20 << 20 < found.growth < 80 << 20


def test_what_it_spent_has_the_first_item_in_it():
    with Probe() as probe:
        for _ in range(3):
            probe.call(lambda _: sum(range(50_000)), None)
    seconds, cpu = probe.spent
    assert seconds > probe.so_far[1] > 0
    assert seconds >= cpu > probe.so_far[2] > 0
