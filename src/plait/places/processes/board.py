"""`Board`: memory that this process shares with one worker.

    word 0        slab frames that the worker has read
    word 1        slab frames that this process has read
    word 8...     what slot 0, 1, ... has in hand: the attempt's sequence number + 1, or 0
    behind them   what faulthandler wrote when the worker crashed

A word is one aligned store: a worker killed at any instruction leaves the old value or the new one.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Any

from plait.machine import capabilities

__all__ = ["READ_BY_PARENT", "READ_BY_WORKER", "SLOTS", "Board"]

READ_BY_WORKER, READ_BY_PARENT, _FIRST = 0, 1, 8
_BYTES = 64 << 10
#: How many slots a worker may have.
SLOTS = _BYTES // 8 - _FIRST


class Board:
    """Words in shared memory, and room for a crash's stack behind them."""

    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            fd = _memory_file()
        self.fd = fd
        try:
            if os.fstat(fd).st_size < _BYTES:
                os.ftruncate(fd, _BYTES)
                os.lseek(fd, _BYTES, os.SEEK_SET)  # shared with the worker: where faulthandler will write
            self._map = mmap.mmap(fd, _BYTES)
        except OSError:
            os.close(fd)
            raise
        self.words: Any = memoryview(self._map).cast("Q")
        self.slots: Any = self.words[_FIRST:]

    def in_hand(self, width: int) -> list[int]:
        """The words of the first `width` slots."""
        return self.slots[:width].tolist()

    def stack(self) -> str:
        """What faulthandler wrote, or nothing."""
        size = os.fstat(self.fd).st_size - _BYTES
        return os.pread(self.fd, min(size, 16 << 10), _BYTES).decode(errors="replace").strip() if size > 0 else ""

    def close(self) -> None:
        """Unmap and close."""
        self.slots.release()
        self.words.release()
        self._map.close()
        os.close(self.fd)


def _memory_file() -> int:
    if capabilities().memfd:
        return os.memfd_create("plait-board", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
