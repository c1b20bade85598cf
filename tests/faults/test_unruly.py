"""Functions that do what they should not: raise what ends programs, fork, exit, close what is not theirs."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

import plait
from plait import Failure, FunctionStopped
from tests.contract.models import cases

PROCESSES = ["processes", "processes+threads"]
in_processes = pytest.mark.parametrize("model", PROCESSES)


class Ending(BaseException):
    pass


ENDINGS = [KeyboardInterrupt, SystemExit, GeneratorExit, Ending, asyncio.CancelledError]


@cases(lambda case: case.model != "serial" or case.is_async)
@pytest.mark.parametrize("kind", ENDINGS)
def test_what_ends_programs_ends_only_its_item(case, kind):
    """A failure like any other; only where the user's own thread runs the item, Ctrl-C is Ctrl-C."""
    if kind is KeyboardInterrupt and not case.in_processes and case.model != "threads":
        return

    def ends(x):
        if x == 5:
            raise kind("told to")
        return x

    results = list(case.map(ends, range(30), on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [5]
    assert type(results[5].exception) is kind


@cases()
def test_stop_iteration_does_not_end_the_results(case):
    def stops(x):
        if x == 5:
            next(iter(()))
        return x

    results = list(case.map(stops, range(30), on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [5]
    assert type(results[5].exception) in (FunctionStopped, RuntimeError)
    with pytest.raises((FunctionStopped, RuntimeError), match="StopIteration"):
        list(case.map(stops, range(30)))


@cases(lambda case: not case.in_processes)
def test_generators_are_results_like_any_other(case):
    results = list(case.map(lambda x: (x for _ in range(2)), range(5)))
    assert [list(r) for r in results] == [[x, x] for x in range(5)]


@in_processes
@pytest.mark.parametrize("leave", [lambda: sys.exit(3), lambda: quit_quietly()])
def test_sys_exit_is_a_failure(pool, model, leave):
    results = list(plait.map(lambda x: leave() if x == 5 else x, range(10), model=model, workers=2, on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [5]
    assert type(results[5].exception) is SystemExit


def quit_quietly():
    raise SystemExit


@in_processes
def test_a_forked_child_that_returns_into_our_loop_ends(pool, model, calls):
    """The child comes back from the function, as a careless fork does: it must not answer in the worker's name."""

    def forks(x):
        if x == 5:
            child = os.fork()
            if child == 0:
                return "from the child"
            os.waitpid(child, 0)
        return x

    assert list(plait.map(forks, range(30), model=model, workers=2)) == list(range(30))


@in_processes
@pytest.mark.parametrize("end", ["_exit", "exit", "kill", "linger"])
def test_a_forked_child_may_end_in_any_way(pool, model, end):
    def forks(x):
        child = os.fork()
        if child == 0:
            if end == "exit":
                sys.exit(0)
            if end == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if end == "linger":
                time.sleep(60)
            os._exit(0)
        if end != "linger":
            os.waitpid(child, 0)
        return x

    assert list(plait.map(forks, range(12), model=model, workers=2)) == list(range(12))


def square(x):
    return x * x


@in_processes
def test_multiprocessing_inside_a_worker(pool, model):
    def inner(x):
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as theirs:
            return sum(theirs.map(square, range(x)))

    assert list(plait.map(inner, range(1, 4), model=model, workers=2, width=1)) == [0, 1, 5]


@in_processes
def test_processes_inside_a_worker(pool, model):
    def inner(x):
        return list(plait.map(square, range(x), model="processes", workers=1))

    assert list(plait.map(inner, range(3), model=model, workers=2, width=1)) == [[], [0], [0, 1]]


@in_processes
def test_what_a_worker_started_ends_with_it(pool, model, calls, until):
    def starts(x):
        calls.note(subprocess.Popen(["sleep", "300"]).pid)
        if x == 3:
            os._exit(1)
        time.sleep(30 if x == 2 else 0)
        return x

    plait.map(starts, range(5), model=model, workers=2, width=1, timeout=1, on_error="skip").wait()
    pool.close()
    pids = [int(pid) for pid in calls.counts()]
    assert len(pids) >= 5
    until(lambda: not [p for p in pids if psutil.pid_exists(p)], 3, "their end")


@in_processes
def test_a_function_that_closes_every_descriptor_costs_its_worker(pool, model):
    def closes(x):
        if x == 5:
            os.closerange(3, 4096)
        return x

    results = list(plait.map(closes, range(20), model=model, workers=2, on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] in ([5], [])


@in_processes
def test_a_function_that_writes_to_every_descriptor_is_not_believed(pool, model):
    def scribbles(x):
        if x == 5:
            for fd in range(3, 64):
                try:
                    os.write(fd, b"\xffgarbage" * 100)
                except OSError:
                    continue
        return x

    results = list(plait.map(scribbles, range(20), model=model, workers=2, on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] in ([5], [])


@in_processes
def test_a_run_begins_in_the_parents_folder_wherever_the_last_one_went(pool, model, tmp_path):
    here = os.getcwd()

    def moves(x):
        os.chdir(tmp_path)
        return x

    assert list(plait.map(moves, range(6), model=model, workers=2)) == list(range(6))
    assert os.getcwd() == here
    assert set(plait.map(lambda x: os.getcwd(), range(6), model=model, workers=2)) == {here}


@in_processes
def test_a_function_that_takes_signals_for_itself_can_still_be_ended(pool, model):
    def deaf(x):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
        time.sleep(60 if x == 3 else 0)
        return x

    began = time.monotonic()
    results = list(plait.map(deaf, range(8), model=model, workers=2, timeout=0.5, on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [3]
    assert time.monotonic() - began < 5


@in_processes
def test_a_function_that_swallows_everything_can_still_be_ended(pool, model):
    def stubborn(x):
        while x == 3:
            try:
                time.sleep(60)
            except BaseException:
                continue
        return x

    with plait.map(stubborn, range(20), model=model, workers=2) as run:
        assert next(iter(run)) == 0
        began = time.monotonic()
    assert time.monotonic() - began < 2


@in_processes
def test_output_of_workers_reaches_the_parents(pool, model, capfd):
    def speaks(x):
        sys.stdout.write(f"said {x}\n")
        sys.stderr.write(f"murmured {x}\n")
        sys.stdout.flush()
        return x

    assert list(plait.map(speaks, range(4), model=model, workers=2)) == list(range(4))
    pool.close()
    out, err = capfd.readouterr()
    assert sorted(out.split("\n"))[1:] == [f"said {x}" for x in range(4)]
    assert sorted(err.split("\n"))[1:] == [f"murmured {x}" for x in range(4)]


@in_processes
def test_a_worker_has_no_terminal_to_read_from(pool, model):
    assert list(plait.map(lambda x: sys.stdin.read(), range(3), model=model, workers=2)) == ["", "", ""]


@in_processes
def test_a_recursion_without_end_is_a_failure(pool, model):
    def recurses(x):
        def deeper(n):
            return deeper(n + 1) + 1

        return deeper(0) if x == 3 else x

    results = list(plait.map(recurses, range(6), model=model, workers=2, on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [3]
    assert type(results[3].exception) is RecursionError


@in_processes
def test_workers_that_run_out_of_descriptors(pool, model):
    def greedy(x):
        if x != 3:
            return x
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        held = []
        try:
            while True:
                held.append(open(os.devnull))  # noqa: SIM115  closed below
        finally:
            for file in held:
                file.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    results = list(plait.map(greedy, range(6), model=model, workers=2, on_error="return"))
    assert [x for x, r in enumerate(results) if r != x] == [3]
    assert "Too many open files" in str(results[3].exception)


def test_a_thread_that_cannot_be_ended_is_named(caplog):
    begun, release = threading.Event(), threading.Event()

    def stuck(x):
        if x == 1:
            begun.set()
            release.wait(20)
        return x

    with plait.map(stuck, range(4), model="threads", width=2) as run:
        run.start()
        assert begun.wait(10)
        began = time.monotonic()
    assert time.monotonic() - began < 2.5
    release.set()
    assert "thread plait-stuck-" in caplog.text


def test_a_function_that_returns_failures_of_its_own(pool):
    theirs = Failure(1, 1, "theirs", 1, ValueError("x"), "")
    run = plait.map(lambda x: theirs, range(3), model="processes", on_error="skip")
    assert len(list(run)) == 3
    assert run.report.failures == 0
