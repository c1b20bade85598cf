"""The parent's own end: killed, interrupted on a terminal, or forked while its pool lives."""

import os
import subprocess
import sys
import time

import psutil
import pytest

import plait
from tests.faults.interrupting import interrupted

KILLED = """
import os, subprocess, sys, time, threading
import plait

where, model = sys.argv[1:]

def work(x):
    if x < 2:
        subprocess.Popen(["sleep", "300"])
        with open(where + f"/begun{x}", "w"):
            pass
    time.sleep(0.02)
    return x

async def work_async(x):
    import asyncio
    if x < 2:
        subprocess.Popen(["sleep", "300"])
        with open(where + f"/begun{x}", "w"):
            pass
    await asyncio.sleep(0.02)
    return x

fn = work_async if "async" in model else work
for result in plait.map(fn, range(10**6), model=model, workers=2, width=1):
    pass
"""


ORPHANS = [
    ("processes", ""),
    ("processes+threads", ""),
    ("processes+async", ""),
    ("processes", "pidfd"),
    ("processes", "pdeathsig"),
    ("processes", "pidfd,pdeathsig"),
]


@pytest.mark.parametrize(("model", "without"), ORPHANS)
def test_nothing_outlives_a_parent_that_is_killed(tmp_path, until, model, without):
    """Starter, workers and what those had started are gone within 3 s."""
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(tmp_path), model]
    parent = subprocess.Popen(command, start_new_session=True, env={**os.environ, "PLAIT_WITHOUT": without})
    try:
        until(lambda: (tmp_path / "begun0").exists() and (tmp_path / "begun1").exists(), 15, "work in progress")
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len([p for p in family if p.name() == "sleep"]) == 2
        assert len(family) >= 4
    finally:
        parent.kill()
        parent.wait()
    _, left = psutil.wait_procs(family, timeout=3)
    for process in left:
        process.kill()
    assert [p for p in left if p.status() != psutil.STATUS_ZOMBIE] == []


def test_the_starter_is_gone_after_a_plain_exit(python):
    """A pool is closed at exit, without a word from the user and without a warning."""
    script = """
        import psutil, sys, plait
        print(sum(plait.map(abs, range(100), model="processes", workers=2)))
        print(*[p.pid for p in psutil.Process().children(recursive=True)])
    """
    done = python(script, env={**os.environ, "PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, pids = done.stdout.splitlines()
    assert first == "4950"
    assert len(pids.split()) >= 2
    assert [pid for pid in pids.split() if psutil.pid_exists(int(pid))] == []


@pytest.mark.parametrize("how", ["sys.exit(7)", "raise SystemExit(7)", "os._exit(7)"])
def test_exits_in_the_middle_of_a_run_leave_nothing(python, until, how):
    script = f"""
        import os, sys, time, psutil, plait
        def work(x):
            time.sleep(0.01)
            return x
        for result in plait.map(work, range(10**6), model="processes", workers=2):
            if result == 20:
                print(*[p.pid for p in psutil.Process().children(recursive=True)], flush=True)
                {how}
    """
    began = time.monotonic()
    done = python(script)
    assert done.returncode == 7, done.stderr
    assert time.monotonic() - began < 8
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) >= 2
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 3, "the end of the workers")


INTERRUPTED = """
import asyncio, sys, time, itertools, threading
import plait

def work(x):
    time.sleep(0.01)
    return x

async def work_async(x):
    await asyncio.sleep(0.01)
    return x

model, kind, consumer = sys.argv[1:]
fn = work_async if kind == "async" else work

def tell(x):
    if x == 10:
        print("RUNNING", flush=True)

try:
    if consumer == "sync":
        for x in plait.map(fn, itertools.count(), model=model, workers=2):
            tell(x)
    else:
        async def consume():
            async for x in plait.map(fn, itertools.count(), model=model, workers=2):
                tell(x)
        asyncio.run(consume())
except KeyboardInterrupt:
    print("INTERRUPTED", [t.name for t in threading.enumerate() if not t.daemon], flush=True)
    sys.exit(130)
"""

INTERRUPTIBLE = [
    *((model, "sync", "sync") for model in ("serial", "threads", "processes", "processes+threads", "auto")),
    *((model, "async", "sync") for model in ("async", "processes+async", "auto")),
    *((model, "async", "async") for model in ("async", "processes+async")),
    *((model, "sync", "async") for model in ("threads", "processes")),
]


@pytest.mark.parametrize(("model", "kind", "consumer"), INTERRUPTIBLE)
def test_ctrl_c_on_a_terminal_ends_a_script(tmp_path, model, kind, consumer):
    ended = interrupted(tmp_path, INTERRUPTED, model, kind, consumer)
    assert (ended.code, "INTERRUPTED" in ended.said) == (130, True), ended.said
    assert ended.seconds < 2
    assert "Traceback" not in ended.said, ended.said
    assert ended.left == []


def test_a_fork_of_the_parent_makes_a_pool_of_its_own(pool):
    """The child maps by itself; the parent's workers serve on."""
    assert list(plait.map(abs, range(20), model="processes", workers=2)) == list(range(20))
    end, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with plait.Pool(workers=1):
                total = sum(plait.map(abs, range(50), model="processes", workers=1))
            os.write(theirs, f"{total}".encode())
            status = 0
        finally:
            os._exit(status)
    os.close(theirs)
    _, status = os.waitpid(child, 0)
    said = os.read(end, 100)
    os.close(end)
    assert (os.waitstatus_to_exitcode(status), said) == (0, b"1225")
    assert list(plait.map(abs, range(20), model="processes", workers=2)) == list(range(20))


@pytest.mark.parametrize("model", ["processes", "threads", "auto"])
def test_a_fork_in_the_middle_of_a_run_does_not_disturb_it(pool, model):
    """The child starts anew with the default pool (not the parent's), and ends by itself."""
    seen = []
    for result in plait.map(abs, range(2000), model=model, workers=2):
        seen.append(result)
        if result == 100:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    status = 0 if list(plait.map(abs, range(30), model=model, workers=1)) == list(range(30)) else 2
                finally:
                    plait.default_pool().close()
                    os._exit(status)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
    assert seen == list(range(2000))


def test_using_the_parents_pool_in_a_fork_says_what_to_do(pool):
    list(plait.map(abs, range(5), model="processes", workers=1))
    end, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with pool:
                list(plait.map(abs, range(5), model="processes", workers=1))
        except plait.StartFailed as error:
            os.write(theirs, str(error).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    said = os.read(end, 1000).decode()
    os.close(end)
    assert "belongs to the parent process" in said
    assert "make a new plait.Pool" in said
