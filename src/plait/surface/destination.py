"""`Destination`: where the bytes of an output go, so that it is either complete or not there."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
import zlib
from collections.abc import Iterator
from typing import IO, Any

from plait.errors import PlaitError
from plait.surface.folders import PARTIAL
from plait.surface.partial import Busy, Partial

__all__ = ["Destination", "WriteError", "standard_output"]

#: A `kill -9` costs the results of this time at most.
FLUSH_SECONDS = 1.0


class WriteError(PlaitError, ValueError):
    """An output that cannot be written."""

    def __init__(self, path: str, why: str, remedy: str) -> None:
        self.path, self.why, self.remedy = path, why, remedy
        super().__init__(f"{_shown(path)}: {why}. {remedy}".rstrip())


class Destination:
    """Where bytes go: a file by way of its `.partial`, or a pipe, device or open stream directly."""

    def __init__(self, path: str | os.PathLike[str] | IO[bytes]) -> None:
        self.stream: Any = None
        self._given = None if isinstance(path, (str, os.PathLike)) else path
        self.name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else "-"
        self._file: Partial | None = None
        if self.name != "-":
            plain = not os.path.exists(self.name) or os.path.isfile(self.name)
            # Through a link, to the file that it names; but that of /dev/fd/1 to a pipe is no path.
            self._path = os.path.realpath(self.name) if plain else os.path.abspath(self.name)
            if plain:
                self._file = Partial(self._path, (self._path if os.path.islink(self.name) else self.name) + PARTIAL)
        self._raw: Any = None
        #: Somebody waits for each row: a terminal or pipe, whose reader is not to wait for a full buffer.
        self.awaited = False
        self._flushed = 0.0

    @property
    def partial(self) -> str | None:
        """What the file is called until it is complete; `None` for what is written directly."""
        return None if self._file is None else self._file.path

    def open(self) -> None:
        """Open it; an older `.partial` is overwritten.

        Raises:
            WriteError: it cannot be made, and why; or another writer is at it.
        """
        if self.name == "-":
            self._raw = self.stream = self._given if self._given is not None else standard_output()
            self.awaited = _is_awaited(self._raw)
            return
        if os.path.isdir(self.name) or self.name.endswith(os.sep) or not self.name:
            remedy = f"Name a file in it: {os.path.join(self.name, 'results.jsonl')}"
            raise WriteError(self.name, "this is a folder, and an output is a file", remedy)
        self._raw = self.stream = self._opened(self._file)
        if self.name.lower().endswith(".gz"):
            self.stream = _Gzip(self._raw)

    def _opened(self, file: Partial | None) -> IO[bytes]:
        try:
            if file is None:
                return open(self._path, "wb")
            stream = file.open()
            self._keep_mode(file, stat.S_IRUSR | stat.S_IWUSR)  # a later run is to write what a killed one left
            return stream
        except Busy:
            why = f"another run or writer is writing it now, to {file.path if file else self.name}"
            raise WriteError(self.name, why, "Wait for its end, or give this output another name.") from None
        except OSError as error:
            folder = os.path.dirname(self.name)
            remedy = f"Make the folder first: mkdir -p {folder}" if isinstance(error, FileNotFoundError) else ""
            raise WriteError(self.name, f"it cannot be written: {error.strerror}", remedy) from None

    def _keep_mode(self, file: Partial, least: int = 0) -> None:
        """Let `file` be read and written by those who may do so with the one that it replaces, if there is one."""
        with contextlib.suppress(OSError):
            os.chmod(file.there, stat.S_IMODE(os.stat(self._path).st_mode) | least)

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

    @contextlib.contextmanager
    def rewritten(self) -> Iterator[str]:
        """A file's bytes so far, closed, at the path given, to be written anew in the block, which then goes on.

        If the block raises, they stay as they were, and only another such block can take more.
        """
        old = self._file
        if old is None:
            raise WriteError(self.name, "what was written to a pipe or device cannot be written anew", "")
        self._raw.close()
        new = old.anew()
        stream = self._opened(new)
        self._raw = self.stream = stream
        try:
            yield old.there
        except BaseException:
            stream.close()
            new.abandon(keep=False)
            raise
        new.take_place_of(old)
        self._file = new

    def commit(self) -> None:
        """Make it complete: on the disk, under its own name."""
        if self.name == "-":
            self.stream.flush()
            return
        if self.stream is not self._raw:
            self.stream.close()
        self._raw.flush()
        if self._file is not None:
            os.fsync(self._raw.fileno())
        self._raw.close()
        if self._file is not None:
            self._keep_mode(self._file)
            self._file.commit()

    def abandon(self, keep: bool) -> None:
        """Close it as it is; unless `keep`, remove the partial file."""
        # What is not called partial must not look complete: a compressed stream gets no end.
        streams = [self._raw] if self._file is None or self.stream is self._raw else [self.stream, self._raw]
        for stream in streams:
            # A full disk or a pipe without reader: the error that brought us here tells it.
            with contextlib.suppress(OSError, ValueError):
                stream.flush() if self.name == "-" else stream.close()
        if self._file is not None:
            self._file.abandon(keep=keep)


class _Gzip:
    """A compressed stream, which has its end only if it is closed; GzipFile writes one whatever happens."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._packer = zlib.compressobj(6, wbits=31)

    def write(self, data: bytes) -> None:
        self._raw.write(self._packer.compress(data))

    def flush(self) -> None:
        self._raw.write(self._packer.flush(zlib.Z_SYNC_FLUSH))
        self._raw.flush()

    def close(self) -> None:
        self._raw.write(self._packer.flush())


def standard_output() -> IO[bytes]:
    """The bytes of standard output.

    Raises:
        WriteError: there is none, or it takes no bytes.
    """
    stream: IO[bytes] | None = getattr(sys.stdout, "buffer", None)
    if stream is None or stream.closed:
        none = sys.stdout is None or getattr(sys.stdout, "closed", False)
        why = "has none, or has closed it" if none else f"has a {type(sys.stdout).__name__} there, which takes no bytes"
        raise WriteError("-", f"it would be standard output, and this process {why}", "Name a file.")
    return stream


def _is_awaited(stream: IO[bytes]) -> bool:
    try:
        return not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, AttributeError):
        return False


def _shown(path: str) -> str:
    return "the output" if path == "-" else path
