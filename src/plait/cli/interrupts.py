"""Ctrl-C and SIGTERM: the first ends the run in good order, the second at once."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """While entered, both signals raise `KeyboardInterrupt` in the main thread and leave their exit code here.

    A function that runs in this thread may swallow that (`except:`): `check()` raises it again between two results.
    """

    def __init__(self) -> None:
        #: 130 after Ctrl-C, 143 after SIGTERM, `None` as long as neither came.
        self.code: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:  # a shell's background job ignores Ctrl-C, and is to go on doing so
                self._before[number] = before
                signal.signal(number, self._caught)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.code is None:  # else the handler stays: a second signal is to end even a slow end
            for number, before in self._before.items():
                signal.signal(number, before)

    def check(self) -> None:
        """Raise what a function swallowed."""
        if self.code is not None:
            raise KeyboardInterrupt

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if self.code is not None:
            with contextlib.suppress(OSError), open("/dev/tty", "wb", buffering=0) as terminal:
                terminal.write(b"\x1b[?25h\n")  # the cursor, which a progress bar may have hidden
            os._exit(self.code)  # workers notice that their parent is gone
        self.code = 128 + number
        raise KeyboardInterrupt
