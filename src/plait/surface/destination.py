"""`Destination`: where the bytes of an output go, so that it is either complete or not there."""

from __future__ import annotations

import contextlib
import gzip
import os
import stat
import sys
import time
from typing import IO, Any

from plait.errors import PlaitError

__all__ = ["Destination", "WriteError"]

#: A `kill -9` costs the results of this time at most.
FLUSH_SECONDS = 1.0


class WriteError(PlaitError, ValueError):
    """An output that cannot be written."""

    def __init__(self, path: str, why: str, remedy: str) -> None:
        self.path, self.why, self.remedy = path, why, remedy
        super().__init__(f"{path}: {why}. {remedy}".rstrip())


class Destination:
    """Where bytes go: a file by way of its `.partial`, or a pipe, device or open stream directly."""

    def __init__(self, path: str | os.PathLike[str] | IO[bytes]) -> None:
        self.stream: Any = None
        self.partial: str | None = None
        self._given = None if isinstance(path, (str, os.PathLike)) else path
        self.name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else "-"
        if self.name != "-":
            self._path = os.path.realpath(self.name)  # through a link, to the file that it names
            if not os.path.exists(self._path) or os.path.isfile(self._path):
                self.partial = self._path + ".partial" if os.path.islink(self.name) else self.name + ".partial"
        self._raw: Any = None
        #: Somebody waits for each row: a terminal or pipe, whose reader is not to wait for a full buffer.
        self.awaited = False
        self._flushed = 0.0

    def open(self) -> None:
        """Open it; an older `.partial` is overwritten.

        Raises:
            WriteError: it cannot be made, and why.
        """
        if self.name == "-":
            self._raw = self.stream = self._given if self._given is not None else sys.stdout.buffer
            self.awaited = _is_awaited(self._raw)
            return
        try:
            self._raw = self.stream = open(self.partial or self._path, "wb")  # noqa: SIM115  closed by commit or abandon
        except OSError as error:
            folder = os.path.dirname(self.name)
            remedy = f"Make the folder first: mkdir -p {folder}" if isinstance(error, FileNotFoundError) else ""
            raise WriteError(self.name, f"it cannot be written: {error.strerror}", remedy) from None
        if self.name.lower().endswith(".gz"):
            self.stream = gzip.GzipFile("", "wb", 6, self._raw, mtime=0)

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self.stream.write(data)
        now = time.monotonic()
        if self.awaited or now - self._flushed > FLUSH_SECONDS:
            self.stream.flush()
            self._flushed = now

    @property
    def on_terminal(self) -> bool:
        """True while bytes go to a terminal."""
        return self.awaited and os.isatty(self._raw.fileno())

    def discard(self) -> None:
        """Let what is still buffered go nowhere: the pipe has no reader any more."""
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), self._raw.fileno())

    def commit(self) -> None:
        """Make it complete: on the disk, under its own name."""
        if self.name == "-":
            self.stream.flush()
            return
        if self.stream is not self._raw:
            self.stream.close()
        self._raw.flush()
        if self.partial:
            os.fsync(self._raw.fileno())
        self._raw.close()
        if self.partial:
            os.replace(self.partial, self._path)
            _sync_folder(os.path.dirname(self._path))

    def abandon(self, keep: bool) -> None:
        """Close it as it is; unless `keep`, remove the partial file."""
        streams = [self.stream] if self.stream is self._raw else [self.stream, self._raw]
        for stream in streams:
            # A full disk or a pipe without reader: the error that brought us here tells it.
            with contextlib.suppress(OSError, ValueError):
                stream.flush() if self.name == "-" else stream.close()
        if self.partial and not keep:
            os.unlink(self.partial)


def _is_awaited(stream: IO[bytes]) -> bool:
    try:
        return not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, AttributeError):
        return False


def _sync_folder(folder: str) -> None:
    """Make a rename survive a crash of the machine, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.fsync(handle)
    os.close(handle)
