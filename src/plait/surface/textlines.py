"""The lines of a text file with their numbers, decompressed and decoded one by one; and how many there are."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Iterator
from typing import IO, cast

from plait.surface.source import ReadError

__all__ = ["check_stdin", "count_lines", "numbered"]

#: Files up to this size, all together, are counted, which takes some 20 ms; what is more is estimated from them.
COUNTED_BYTES = 64 << 20
BLOCK = 1 << 20


def numbered(name: str, encoding: str, *, ends: bool = False) -> Iterator[tuple[int, str]]:
    """Each line with its number from 1; decoded one by one, so that an error can name its line.

    Parameters:
        ends: leave the newlines on.

    Raises:
        ReadError: the file cannot be read, or a line is not text in `encoding`.
    """
    number = 0
    try:
        with _opened(name) as stream:
            for number, raw in enumerate(stream, 1):
                text = raw.decode(encoding)
                if number == 1:
                    text = text.removeprefix("\ufeff")
                yield number, text if ends else text.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        why = f"byte {error.start + 1} of the line (0x{error.object[error.start]:02x}) is not {encoding}"
        raise ReadError(name, number, why, 'Name the encoding, for example encoding="latin-1".') from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        remedy = "Is the file complete? gzip -t tells."
        raise ReadError(name, number + 1, f"the compressed data is broken: {error}", remedy) from None
    except OSError as error:
        raise ReadError(name, None, f"it cannot be read: {error.strerror or error}", "") from None


def check_stdin() -> None:
    """Raise ReadError when this process has no standard input that can be read."""
    if sys.stdin is None or getattr(sys.stdin, "closed", False):
        raise ReadError("-", None, "this process has none, or has closed it", "Give a file.")


def _opened(name: str) -> IO[bytes]:
    if name != "-":
        return cast(IO[bytes], gzip.open(name)) if name.lower().endswith(".gz") else open(name, "rb")
    check_stdin()
    try:
        # A reader of our own: a thread that waits in sys.stdin's would hold its lock when the interpreter ends.
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except (OSError, AttributeError, ValueError):
        stream: IO[bytes] | None = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise ReadError("-", None, f"sys.stdin is a {type(sys.stdin).__name__}, which has no bytes", "Give a file.")
    return stream


def count_lines(names: list[str], headers: int = 0) -> int | None:
    """Counted in small files, estimated from the first block of a large one, unknown of a pipe or a `.gz`.

    Parameters:
        headers: lines at the top of each file that do not count.
    """
    if any(name == "-" or name.lower().endswith(".gz") or not os.path.isfile(name) for name in names):
        return None
    sizes = [os.path.getsize(name) for name in names]
    found = looked = 0
    for name, size in zip(names, sizes, strict=True):
        if looked > COUNTED_BYTES:
            return round(found * sum(sizes) / looked)
        found, looked = found + _count(name, size, headers), looked + size
    return found


def _count(name: str, size: int, headers: int) -> int:
    count, last = 0, b""
    with open(name, "rb", buffering=0) as stream:
        while block := stream.read(BLOCK):
            count, last = count + block.count(b"\n"), block[-1:]
            if size > COUNTED_BYTES:
                return max(1, round(count * size / len(block)))
    return max(0, count + (last not in (b"", b"\n")) - headers)
