"""A script that is interrupted on a terminal, by the key as its user would, and how it ended."""

import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.contract.terminal import Terminal

__all__ = ["Interrupted", "interrupted"]


class Interrupted(NamedTuple):
    """Its exit code, the seconds that it took to end, what it said, and what it has left running."""

    code: int
    seconds: float
    said: str
    left: list[psutil.Process]


def interrupted(folder: Path, script: str, *words: str) -> Interrupted:
    """Run `script`, and press Ctrl-C once it has printed RUNNING."""
    path = folder / "script.py"
    path.write_text(script)
    terminal = Terminal(folder, sys.executable, str(path), *words)
    try:
        terminal.read_until(b"RUNNING")
        family = psutil.Process(terminal.process.pid).children(recursive=True)
        began = time.monotonic()
        terminal.press_ctrl_c()
        code = terminal.ended()
        seconds = time.monotonic() - began
    finally:
        terminal.process.kill()
    return Interrupted(code, seconds, terminal.output.decode(), psutil.wait_procs(family, timeout=1)[1])
