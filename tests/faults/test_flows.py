"""Flows that are killed, interrupted, run often, or held up for long: nothing lost, nothing left, memory flat."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import psutil
import pytest

import plait
from tests.faults.interrupting import interrupted

# --- killed, and resumed ------------------------------------------------------------------------------------------

RESUMED = """
import os, sys, time
import plait

folder, count = sys.argv[1], int(sys.argv[2])

def fetch(x):
    time.sleep(0.0005)
    return x

def parse(x):
    return [x, sum(range(x % 50))]

def store(row):
    file = os.open(folder + "/effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%d\\n" % row[0])
    os.close(file)
    return row

flow = plait.flow(range(count)).map(fetch, model="threads", width=8)
flow = flow.map(parse, model="processes", workers=2).map(store, model="threads", width=4)
with open(folder + "/begun", "w"):
    pass
run = flow.to(plait.write.jsonl(folder + "/out.jsonl")).run(journal=folder + "/journal")
print("DONE", sum(1 for _ in run), run.report.stages[0].items)
"""


def resumed(tmp_path, rounds, count, seed):
    """Kills a flow at random moments, then lets it end; items whose effect came more than once, and how often."""
    script = tmp_path / "script.py"
    script.write_text(RESUMED)
    command = [sys.executable, str(script), str(tmp_path), str(count)]
    rand, out = random.Random(seed), tmp_path / "out.jsonl"
    for _ in range(rounds):
        begun = tmp_path / "begun"
        begun.unlink(missing_ok=True)
        one = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            while not begun.exists() and one.poll() is None:
                threading.Event().wait(0.002)
            one.wait(rand.uniform(0.0, 0.5))
        except subprocess.TimeoutExpired:
            os.killpg(one.pid, signal.SIGKILL)
        finally:
            said = one.communicate()
        assert one.returncode in (0, -signal.SIGKILL), said
        if out.exists():  # it was quicker
            assert len(out.read_text().splitlines()) == count
            out.unlink()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"DONE {count} ")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows == [[x, sum(range(x % 50))] for x in range(count)]
    effects = Counter((tmp_path / "effects").read_text().split())
    assert effects.keys() == {str(x) for x in range(count)}, "an effect is missing"
    return sum(effects.values()) - count


@pytest.mark.timeout(300)
def test_a_flow_that_is_killed_again_and_again_is_resumed(tmp_path):
    again = resumed(tmp_path, 20, 5000, 1)
    assert again <= 20 * 100, "more was run again than could be in hand"


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(2, 7))
def test_a_flow_that_is_killed_very_often_is_resumed(tmp_path, seed):
    again = resumed(tmp_path, 20, 5000, seed)
    assert again <= 20 * 100


# --- interrupted --------------------------------------------------------------------------------------------------

INTERRUPTED = """
import asyncio, itertools, sys, threading, time
import plait

async def fetch(x):
    await asyncio.sleep(0.002)
    return x

def parse(x):
    time.sleep(0.002)
    return x

def tell(x):
    if x == 10:
        print("RUNNING", flush=True)

flow = plait.flow(itertools.count()).map(fetch).map(parse, model=sys.argv[1], workers=2).batch(3, within=1).unbatch()
flow = flow.map(parse, model="threads", width=2).to(plait.write.jsonl(sys.argv[3]))
try:
    if sys.argv[2] == "sync":
        for x in flow:
            tell(x)
    else:
        async def consume():
            async for x in flow:
                tell(x)
        asyncio.run(consume())
except KeyboardInterrupt:
    print("INTERRUPTED", [t.name for t in threading.enumerate() if not t.daemon], flush=True)
    sys.exit(130)
"""


@pytest.mark.parametrize("model", ["serial", "threads", "processes", "auto"])
@pytest.mark.parametrize("consumer", ["sync", "async"])
def test_ctrl_c_on_a_terminal_ends_a_flow(tmp_path, model, consumer):
    out = tmp_path / "out.jsonl"
    ended = interrupted(tmp_path, INTERRUPTED, model, consumer, str(out))
    assert (ended.code, "INTERRUPTED" in ended.said) == (130, True), ended.said
    assert ended.seconds < 2
    assert "Traceback" not in ended.said, ended.said
    assert ended.left == []
    assert not out.exists()


# --- many in a row ------------------------------------------------------------------------------------------------


def double(x):
    return x * 2


def fails(x):
    return 1 // (x - 20)


ENDS = {
    "whole": lambda flow: list(flow),
    "left": lambda flow: next(iter(flow)),
    "cancelled": lambda flow: cancelled(flow.run()),
    "failed": lambda flow: failed(flow.map(fails, model="threads").run()),
}


def cancelled(run):
    results = iter(run)
    next(results)
    run.cancel()
    with pytest.raises(plait.RunCancelled):
        list(results)


def failed(run):
    with pytest.raises(ZeroDivisionError):
        run.wait()


@pytest.mark.timeout(120)
def test_many_flows_leave_nothing(settled, nothing_left, tmp_path):
    """Fifty, ended in every way, over threads, processes, batches with a clock and sinks."""
    with plait.Pool(workers=2):
        for at, how in zip(range(50), itertools.cycle(ENDS), strict=False):
            flow = plait.flow(x for x in range(3000)).map(double, model="threads", width=4)
            if at % 5 == 0:
                flow = flow.map(abs, model="processes", workers=2)
            flow = flow.batch(4, within=5).unbatch() if at % 3 == 0 else flow.batch(4).unbatch()
            flow = flow.to(plait.write.jsonl(tmp_path / "out.jsonl")) if at % 2 == 0 else flow
            ENDS[how](flow.map(abs, model="auto").map(double, model="serial"))


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(60)
@pytest.mark.parametrize("model", ["threads", "auto", "serial"])
def test_memory_is_flat_where_a_stage_is_much_slower_than_its_source(model):
    """An infinite source; what is read ahead is bounded, so that memory is, once the buffers are full."""

    def slow(x):
        time.sleep(0.001)
        return x

    me = psutil.Process()
    flow = plait.flow(itertools.count()).map(double, model=model).map(str, model="threads", width=2)
    with flow.map(slow, model="threads", width=1).batch(10, within=1).run() as run:
        results, sizes = iter(run), []
        for _ in range(12):
            assert len(list(itertools.islice(results, 15))) == 15
            sizes.append(me.memory_info().rss)
    assert max(sizes[6:]) - max(sizes[:6]) < 12 << 20, sizes


@pytest.mark.parametrize("model", ["threads", "async"])
def test_large_items_fill_buffers_by_their_bytes(model, until):
    """Of items of 100 KB, no more are read ahead than 256 MB hold."""
    most, pulled = 2560, [0]

    async def length(x):
        return len(x)

    def source():
        for pulled[0] in range(1, most + 500):  # so that it takes no more than that where it fails
            yield bytes(100_000)

    fn = length if model == "async" else bytearray
    release = threading.Event()
    flow = plait.flow(source()).map(bytearray, model="threads", width=2).map(fn, model=model, width=2)
    with flow.map(lambda x: release.wait(20), model="threads", width=1).run() as run:
        run.start()
        full = [0, -1]
        until(lambda: full.append(pulled[0]) or (len(full) > 100 and full[-1] == full[-100]), 20, "full buffers")
        release.set()
    assert pulled[0] <= most


@pytest.mark.parametrize("model", ["threads", "async"])
def test_many_retries_that_wait_take_no_threads_and_little_memory(model, until):
    """Twenty thousand items failed, and wait for their next attempt."""
    count, tried, me = 20_000, [0], psutil.Process()

    def fails_at_first(x):
        tried[0] += 1
        raise OSError("again")

    async def fails_at_first_async(x):
        tried[0] += 1
        raise OSError("again")

    retries = plait.Retry(1, backoff=600, jitter=0, longest=600)
    fn = fails_at_first_async if model == "async" else fails_at_first
    threads, held = threading.active_count(), me.memory_info().rss
    options = {"model": model, "width": 4, "retries": retries, "buffer": count, "ordered": False}
    with plait.flow(range(count)).map(double).map(fn, **options).run() as run:
        run.start()
        until(lambda: tried[0] == count, 30, "an attempt of each")
        threads, held = threading.active_count() - threads, me.memory_info().rss - held
    assert threads < 20
    assert held < count * 4000, f"{held / count:.0f} bytes an item"
