"""Cells as processes: start one, bound its time, end what it leaves behind; and the load that may run beside them."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.fit.grid import Spec

__all__ = ["ROOT", "loaded", "run_cell"]

ROOT = Path(__file__).resolve().parent.parent.parent
#: Seconds for imports and setting up, and for the check and tearing down.
BEFORE, AFTER = 120.0, 60.0
#: Burns one core until whoever started it is gone.
SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(10**6): pass\n"


def run_cell(name: str, spec: Spec, quick: bool, limit: float) -> dict[str, Any]:
    """One measurement in a fresh interpreter: its figures, or `slow` (the limit), `skipped` or `error` (words).

    Parameters:
        limit: seconds that the timed part may take.
    """
    text = spec if isinstance(spec, str) else json.dumps(spec)
    command = [sys.executable, "-m", "benchmarks.fit.cell", name, text, *(["--quick"] if quick else [])]
    others = {child.pid for child in psutil.Process().children()}
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PLAIT_CACHE": "off"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            outcome = _answer(process, limit)
            if "died" in outcome:
                complaints.seek(0)
                last = complaints.read().decode(errors="replace").strip().splitlines()[-1:]
                outcome = {"error": f"died with exit status {outcome['died']}: {' '.join(last)}"[:300]}
        finally:
            left = _end(process, others)
    return {**outcome, "left_behind": left} if left else outcome


def _answer(process: subprocess.Popen[bytes], limit: float) -> dict[str, Any]:
    """Read what the cell prints, until it has answered, has died, or has used up the time of the part that it is in."""
    output = process.stdout.fileno()  # type: ignore[union-attr]
    parts = iter(((b"ready", limit), (b"done", AFTER)))
    word, next_limit = next(parts)
    give_up, data, begun = time.monotonic() + BEFORE, b"", False
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while selector.select(max(0.0, give_up - time.monotonic())):
            piece = os.read(output, 1 << 16)
            if not piece:
                return {"died": process.wait(AFTER)}
            *lines, data = (data + piece).split(b"\n")
            for line in lines:
                if line == word:
                    begun, give_up = True, time.monotonic() + next_limit
                    word, next_limit = next(parts, (b"", 0.0))
                elif line.startswith(b"{"):
                    return dict(json.loads(line))
    return {"slow": limit} if begun else {"error": f"not set up within {BEFORE:.0f} s"}


def _end(process: subprocess.Popen[bytes], others: set[int]) -> int:
    """End the cell and all that it left: its orphans have come to us. Returns how many it should have ended itself."""
    try:
        process.wait(5 if process.poll() is None else 0)
        late = 0
    except subprocess.TimeoutExpired:
        late = 1
    mine = [child for child in psutil.Process().children(recursive=True) if child.pid not in others]
    # Those that go by themselves soon after their parent's end were not left behind.
    _gone, alive = psutil.wait_procs(mine, timeout=0 if late else 2)
    for one in alive:
        one.kill()
    psutil.wait_procs(alive, timeout=5)
    if process.stdout is not None:
        process.stdout.close()
    process.poll()
    return len(alive)


@contextmanager
def loaded(wanted: bool) -> Iterator[None]:
    """With `wanted`, another process burns one core meanwhile."""
    if not wanted:
        yield
        return
    spinner = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        yield
    finally:
        spinner.kill()
        spinner.wait()
