"""Several processes write what they learned at once, and some are killed: a reader sees a whole file, always."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plait.fit.evidence import Evidence
from plait.fit.recall import Memory, Recalled
from plait.placement import Placement

KEYS = ["a" * 32, "b" * 32]
WRITER = textwrap.dedent(
    """
    import os, sys
    from plait.fit import recall
    from plait.fit.evidence import Evidence
    from plait.placement import Placement

    folder, number, where = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    memory = recall.Memory(folder, kept=1)
    recall._now_and_then = lambda: where == "prune"

    def learned(runs):
        # Every figure says the same number, so that a mixture of two writers shows.
        evidence = Evidence(runs, runs, runs, runs, 0.5, notes=("x" * number,))
        return recall.Recalled(evidence, Placement("here", "loop"), runs, runs)

    def stop(*args):
        print("stopped", flush=True)
        sys.stdin.read()

    if where in ("write", "replace"):
        setattr(recall.os, where, stop)
    print("begun", flush=True)
    runs = number
    while True:
        for key in ("a" * 32, "b" * 32):
            memory.put(key, learned(runs))
        runs += 100
    """
)


def coherent(found: Recalled) -> bool:
    evidence, runs = found.evidence, found.runs
    same = {evidence.items, evidence.seconds, evidence.seconds_max, evidence.seconds_mean, found.rate} == {runs}
    return same and len(evidence.notes[0]) == runs % 100


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that writes until it is killed, or stops within `write` or `replace`."""
    script, begun = tmp_path / "writer.py", []
    script.write_text(WRITER)

    def begin(number: int, where: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, str(script), str(tmp_path / "cache"), str(number), where]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        begun.append(process)
        assert process.stdout.readline() == "begun\n"
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "cache")


def test_readers_see_whole_files_while_many_write_and_one_is_killed(writer, memory, until):
    writers = [writer(number) for number in (1, 2, 3)]
    until(lambda: all(memory.get(key) for key in KEYS), what="the first files")
    seen, deadline = set(), time.monotonic() + 20
    while len(seen) < 150 and time.monotonic() < deadline:
        for key in KEYS:
            found = memory.get(key)
            assert found is not None
            assert coherent(found)
            seen.add((key, found.runs))
        if len(seen) > 75 and len(writers) == 3:
            writers.pop().send_signal(signal.SIGKILL)
    assert len(seen) >= 150


def test_writers_that_prune_beside_each_other_leave_what_can_be_read(writer, memory, until):
    for number in (1, 2, 3):
        writer(number, "prune")
    seen, deadline = set(), time.monotonic() + 20
    while len(seen) < 50 and time.monotonic() < deadline:
        found = [one for key in KEYS if (one := memory.get(key)) is not None]  # one of the two may just have gone
        assert all(coherent(one) for one in found)
        seen |= {one.runs for one in found}
    assert len(seen) >= 50


@pytest.mark.parametrize("where", ["write", "replace"])
def test_a_writer_killed_in_the_middle_does_no_harm(writer, memory, where):
    old = Recalled(Evidence(1, 1, 1, 1, 0.5, notes=("x",)), Placement("here", "loop"), 1, 1)
    assert memory.put(KEYS[0], old)
    process = writer(7, where)
    assert process.stdout.readline() == "stopped\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert memory.get(KEYS[0]) == old

    unfinished = [name for name in os.listdir(memory.folder) if name.endswith(".tmp")]
    assert len(unfinished) == 1
    assert memory.put(KEYS[0], Recalled(old.evidence, old.placement, 2, 2))
    assert memory.get(KEYS[0]).runs == 2
    memory.prune()
    assert set(unfinished) < set(os.listdir(memory.folder))  # its writer might live
    then = time.time() - 2 * 3600
    os.utime(os.path.join(memory.folder, unfinished[0]), (then, then))
    assert memory.prune() == 1
    assert os.listdir(memory.folder) == [f"{KEYS[0]}.json"]
