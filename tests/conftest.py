"""What every test may use: an interpreter of its own, waiting for the operating system, and a look at what is left."""

import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

from plait.styles.new_loop import new_loop

hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

os.environ["PLAIT_CACHE"] = "off"  # what one test's runs learn must not help the next; nor touch the user's folder
os.environ.pop("PLAIT_MODEL", None)

ME = psutil.Process()

pytest_plugins = ["tests.support.postgres"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick part does without a server, and without workers of jobs: they are the engine's, and that is in it."""
    for item in items:
        served = "postgres" in item.name or {"postgres", "own_postgres"} & set(getattr(item, "fixturenames", ()))
        if served or (item.path.parent.name == "jobs" and item.path.stem.startswith(("test_worker", "test_move"))):
            item.add_marker("slow")


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script, given as text, in an interpreter of its own; its status and output come back."""

    def run(script: str, *args: str, timeout: float = 30, **options: object) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(script))
        command = [sys.executable, str(path), *args]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)

    return run


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits until a condition holds that nobody announces: a process is gone, a file is there."""

    def wait(holds: Callable[[], object], seconds: float = 5, what: str = "the condition") -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail(f"{what} did not come to hold within {seconds:g} s")
            time.sleep(0.005)

    return wait


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails the test when it leaves a process, a thread, a file descriptor or shared memory behind."""
    new_loop().close()  # uvloop keeps a pipe and /dev/null from its first loop on
    gc.collect()
    before = _held()
    yield
    gc.collect()

    def excess() -> dict[str, object]:
        now = _held()
        left: dict[str, object] = {kind: now[kind] - before[kind] for kind in ("processes", "threads", "shared memory")}
        left["file descriptors"] = max(0, len(now["file descriptors"]) - len(before["file descriptors"]))
        return {kind: what for kind, what in left.items() if what}

    deadline = time.monotonic() + 3  # the operating system may need a moment for what was closed
    while (left := excess()) and time.monotonic() < deadline:
        time.sleep(0.005)
    if left:
        pytest.fail(f"left behind after 3 s: {left}")


def _held() -> dict[str, set[str]]:
    shared = Path("/dev/shm")
    descriptors = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")
    return {
        "processes": {str(child.pid) for child in ME.children(recursive=True)},
        "threads": {f"{thread.name} ({thread.ident})" for thread in threading.enumerate()},
        "shared memory": {name for name in os.listdir(shared) if "PostgreSQL" not in name}
        if shared.exists()
        else set(),
        "file descriptors": set(os.listdir(descriptors)),
    }
