"""Who is alive on this machine: locks that the kernel lets go of."""

import gc
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from plait.jobs.presence import Presence, boot, space
from plait.jobs.records import WorkerInfo, WorkerView

pytestmark = pytest.mark.timeout(180)

HOLD = """
import sys, time
from pathlib import Path
from plait.jobs.presence import Presence
Presence(Path(sys.argv[1])).hold(1)
print("held", flush=True)
if sys.argv[2:]:
    import subprocess
    child = subprocess.Popen(["sleep", "1000"], close_fds=False)
    print(child.pid, flush=True)
time.sleep(1000)
"""


def view(worker: int, pid: int, **said: str) -> WorkerView:
    return WorkerView(
        id=worker,
        info=WorkerInfo(host="h", pid=pid, boot=said.get("boot", boot()), space=said.get("space", space())),
        started=0.0,
        lease=1.0,
    )


@pytest.fixture
def holder(tmp_path: Path):
    """A process that holds the lock of worker 1."""
    made: list[subprocess.Popen[str]] = []

    def start(*args: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path / "locks"), *args], stdout=subprocess.PIPE, text=True
        )
        made.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in made:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_worker_is_alive_until_its_process_is_killed(tmp_path: Path, holder):
    here = Presence(tmp_path / "locks")
    process = holder()
    assert here.gone([view(1, process.pid)]) == []
    process.send_signal(signal.SIGSTOP)
    assert here.gone([view(1, process.pid)]) == [], "who is only stopped is not gone"
    process.kill()
    process.wait()
    assert here.gone([view(1, process.pid)]) == [1]
    here.forget(1)
    assert here.gone([view(1, process.pid)]) == [], "somebody has seen to it"


def test_a_program_that_the_worker_has_started_does_not_keep_it_alive(tmp_path: Path, holder):
    process = holder("child")
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    try:
        assert Presence(tmp_path / "locks").gone([view(1, process.pid)]) == [1]
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_child_does_not_keep_it_alive_nor_end_it(tmp_path: Path):
    here = Presence(tmp_path / "locks")
    here.hold(1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    other = Presence(tmp_path / "locks")
    assert other.gone([view(1, os.getpid())]) == []
    here.let_go(1)
    assert other.gone([view(1, os.getpid())]) == [], "it left in good order: nothing to recover"
    here.hold(2)
    for lock in here._held.values():
        os.close(lock)
    assert other.gone([view(2, os.getpid())]) == [2], "though the child lives"
    os.close(write)
    os.waitpid(child, 0)


@pytest.mark.parametrize("elsewhere", [{"boot": "another"}, {"space": "another"}, {"boot": ""}])
def test_nothing_is_known_of_workers_elsewhere(tmp_path: Path, holder, elsewhere: dict[str, str]):
    process = holder()
    process.kill()
    process.wait()
    assert Presence(tmp_path / "locks").gone([view(1, process.pid, **elsewhere)]) == []


def test_a_worker_that_has_not_got_to_its_lock_is_not_gone(tmp_path: Path):
    assert Presence(tmp_path / "nowhere").gone([view(1, os.getpid())]) == []


def test_ones_own_are_not_gone(tmp_path: Path):
    here = Presence(tmp_path / "locks")
    here.hold(1)
    assert here.gone([view(1, os.getpid())]) == []
    here.let_go(1)
    here.let_go(1)
    assert list((tmp_path / "locks").iterdir()) == []


def test_a_worker_of_the_same_number_is_another_one(tmp_path: Path, holder):
    """A copy of a database has the numbers of the first, and the same folder: its workers come and go there, too."""
    here = Presence(tmp_path / "locks")
    here.hold(1)
    process = holder()
    process.kill()
    process.wait()
    other = Presence(tmp_path / "locks")
    assert other.gone([view(1, os.getpid())]) == []
    assert other.gone([view(1, process.pid)]) == [1]
    other.forget(1)
    assert other.gone([view(1, os.getpid())]) == []
    assert len(list((tmp_path / "locks").iterdir())) == 1


def test_without_a_folder_the_lease_alone_counts(tmp_path: Path):
    (tmp_path / "file").touch()
    here = Presence(tmp_path / "file" / "locks")
    here.hold(1)
    assert Presence(tmp_path / "file" / "locks").gone([view(1, os.getpid())]) == []
    here.let_go(1)


def test_nothing_is_left_of_one_that_nobody_has(tmp_path: Path):
    """Who opens and closes a store for each request would keep all of them."""
    gone = weakref.ref(Presence(tmp_path / "locks"))
    gc.collect()
    assert gone() is None
