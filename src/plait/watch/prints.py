"""Keeps what functions print apart from a bar on the same terminal: above it, whichever process prints.

    worker's print --+
    this print ------+--> pseudo-terminal --> reading thread --> rich, above the bar --> the real terminal

A redirected `sys.stdout` would only catch this process; worker processes inherit file descriptors, and so does C code.
The stand-in is a terminal, not a pipe: programs keep their colours and write line by line.
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
import threading
import tty
from types import TracebackType

from rich.console import Console
from rich.text import Text

__all__ = ["PrintsAbove"]

#: Written through the stand-in at the end: when the reading thread meets it, all that was printed before is shown.
END = b"\x1e\x1eplait\x1e\x1e\n"
DRAIN_SECONDS = 1.0


class PrintsAbove:
    """While entered, standard output and error (those that are terminals) are shown above the bar on `console`.

    Enter it before worker processes start: those that run already keep their own way to the terminal. What they print
    after its end still reaches the terminal, unless this process is gone.
    """

    def __init__(self) -> None:
        self._real = os.dup(sys.stderr.fileno())
        #: Where the bar is to be drawn.
        self.console = Console(file=os.fdopen(self._real, "w", encoding="utf-8", errors="replace", closefd=False))
        self._saved: list[tuple[int, int]] = []
        self._drained = threading.Event()

    def __enter__(self) -> PrintsAbove:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        reading, self._standin = os.openpty()
        tty.setraw(self._standin)
        fcntl.ioctl(self._standin, termios.TIOCSWINSZ, fcntl.ioctl(self._real, termios.TIOCGWINSZ, b"\0" * 8))
        for number in (1, 2):
            if os.isatty(number):
                self._saved.append((number, os.dup(number)))
                os.dup2(self._standin, number)
        threading.Thread(target=self._show, args=(reading,), name="plait-prints", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, saved in self._saved:
            os.dup2(saved, number)
            os.close(saved)
        os.write(self._standin, END)
        self._drained.wait(DRAIN_SECONDS)
        os.close(self._standin)

    def _show(self, reading: int) -> None:
        held = b""
        while not self._drained.is_set():
            try:
                data = os.read(reading, 65536)
            except OSError:
                break
            *whole, held = (held + data).split(b"\n")
            if END[:-1] in b"".join(whole[-1:]):
                # What came without a newline precedes the mark on its line.
                whole[-1] = whole[-1].removesuffix(END[:-1])
                whole = whole if whole[-1] else whole[:-1]
                self._drained.set()
            if whole:
                text = b"\n".join(line.removesuffix(b"\r") for line in whole).decode("utf-8", "replace")
                self.console.print(Text.from_ansi(text), soft_wrap=True)
        self._pass_on(reading)

    def _pass_on(self, reading: int) -> None:
        """The bar is gone: workers that still print write to the terminal as it is."""
        try:
            while data := os.read(reading, 65536):
                os.write(self._real, data.replace(b"\r\n", b"\n"))
        except OSError:
            pass  # the last of them has ended
