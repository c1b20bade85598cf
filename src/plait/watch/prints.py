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

#: Written through the stand-in: when the reading thread meets it, all that was printed before is shown.
MARK = b"\x1e\x1eplait\x1e\x1e"
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
        self._over = False

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
        self._drained.clear()  # before the next line: an earlier mark must not end the reading
        self._over = True
        self.drain()
        os.close(self._standin)

    def drain(self) -> None:
        """Wait until all that was printed so far is shown."""
        self._drained.clear()
        os.write(self._standin, MARK + b"\n")
        self._drained.wait(DRAIN_SECONDS)

    def _show(self, reading: int) -> None:
        held = b""
        while not (self._over and self._drained.is_set()):
            try:
                data = os.read(reading, 65536)
            except OSError:  # every other end is closed
                return
            *whole, held = (held + data).split(b"\n")
            marked = any(line.endswith(MARK) for line in whole)
            # A print without a newline precedes the mark on its line; a mark by itself is no line.
            shown = [line.removesuffix(MARK).removesuffix(b"\r") for line in whole if line != MARK]
            if shown:
                self._print(b"\n".join(shown))
            if marked:
                self._drained.set()
        self._pass_on(reading)

    def _print(self, text: bytes) -> None:
        try:
            self.console.print(Text.from_ansi(text.decode("utf-8", "replace")), soft_wrap=True)
        except OSError:
            pass  # the terminal is gone; who prints must not wait for it

    def _pass_on(self, reading: int) -> None:
        """The bar is gone: workers that still print write to the terminal as it is."""
        try:
            while data := os.read(reading, 65536):
                os.write(self._real, data.replace(MARK + b"\n", b""))
        except OSError:
            pass  # the last of them has ended
