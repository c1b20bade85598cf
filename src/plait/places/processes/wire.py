"""Frames between this process and one worker: a small header, and a body that travels inline or in a memory file.

    header   kind, task, flags, number of buffers, two counters (sequence number, grain), a float (budget), body length
    lengths  one for each out-of-band buffer of pickle 5
    body     the pickle, then the buffers - or none of it, when flags say that it lies in a slab

A slab is a memory file that its sender reuses. It is free again once the receiver has read the frame that used it,
which the receiver says by counting on the shared board: no message goes back for it.

Copied, not mapped, on purpose: for 8 MB a write into a reused slab and a read out of it take 0.7 ms each, while fresh
pages for a memory file of its own take 3.3 ms and mapping it 0.8 ms more (measured on Linux 6.18, 4 KiB pages).
"""

from __future__ import annotations

import array
import os
import pickle
import socket
import struct
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

__all__ = ["INLINE", "Decoder", "Encoder", "Frame", "Kind", "dumps", "loads"]

#: Bytes up to which a body travels in the socket itself.
INLINE = 32 << 10
#: Bytes from which a buffer travels apart from its pickle: below, a copy costs less than the bookkeeping.
APART = 4 << 10
#: Bytes above which a slab gives its memory back when it is free.
KEEP = 64 << 20

_HEAD = struct.Struct("<HBBIIQQdQ")
#: What every frame begins with: a function that writes to descriptors which are not its own is found out.
_MAGIC = 0x91A7
_SLAB, _NEW = 1, 2
_RIGHTS = socket.CMSG_SPACE(16 * 4)
#: Descriptors that come must not leak into programs that the user's function starts.
CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Kind:
    """What a frame says."""

    OPEN, CHUNK, CLOSE, EXIT, WIDTH, DROP = 1, 2, 3, 4, 5, 6  # to a worker
    OPENED, BATCH, UNREADABLE, CLOSED, BROKEN, LOG, WARNING = 16, 17, 18, 19, 20, 21, 22  # from a worker


class Frame(NamedTuple):
    """One message. `a`, `b` and `x` mean what the kind says; `body` and `buffers` are pickle 5's."""

    kind: int
    task: int
    a: int
    b: int
    x: float
    body: Any
    buffers: list[Any]

    @property
    def weight(self) -> int:
        """Bytes of the body and its buffers."""
        return len(self.body) + sum(len(buffer) for buffer in self.buffers)


def dumps(thing: Any) -> tuple[bytes, list[memoryview]]:
    """Pickle with large buffers apart, uncopied."""
    buffers: list[memoryview] = []

    def apart(buffer: pickle.PickleBuffer) -> bool:
        """Take a large buffer; true leaves a small one in the pickle."""
        raw = buffer.raw()
        if raw.nbytes < APART:
            return True
        buffers.append(raw)
        return False

    return pickle.dumps(thing, 5, buffer_callback=apart), buffers


def loads(frame: Frame) -> Any:
    """What `dumps` was given."""
    return pickle.loads(frame.body, buffers=frame.buffers)


class _Slab:
    __slots__ = ("fd", "number", "size", "told")

    def __init__(self, number: int) -> None:
        self.fd = os.memfd_create(f"plait-slab-{number}", os.MFD_CLOEXEC)
        self.number, self.size, self.told = 0, 0, False


class Encoder:
    """Turns messages into bytes to send, large bodies into slabs.

    Parameters:
        words: the shared board.
        read: the word in which the receiver counts the slab frames that it has read.
        slabs: whether memory files exist here; without, every body travels inline.
    """

    def __init__(self, words: Any, read: int, *, slabs: bool = True) -> None:
        self._words, self._read, self._use = words, read, slabs
        self._slabs: list[_Slab] = []
        self._sent = 0

    def encode(
        self,
        kind: int,
        task: int = 0,
        a: int = 0,
        b: int = 0,
        x: float = 0.0,
        body: Any = b"",
        buffers: Sequence[Any] = (),
    ) -> tuple[bytes, list[int]]:
        """The bytes to write to the socket, and the descriptors to send with the first of them."""
        sizes = [buffer.nbytes for buffer in buffers]
        head = partial(_HEAD.pack, _MAGIC)
        if not self._use or len(body) + sum(sizes) <= INLINE:
            if not sizes:
                return head(kind, 0, 0, task, a, b, x, len(body)) + body, []
            lengths = struct.pack(f"<{len(sizes)}Q", *sizes)
            return b"".join((head(kind, 0, len(sizes), task, a, b, x, len(body)), lengths, body, *buffers)), []
        slab = self._slab()
        _write_all(slab.fd, [memoryview(body), *buffers])
        slab.size = max(slab.size, len(body) + sum(sizes))
        flags = _SLAB | (0 if slab.told else _NEW)
        fds = [] if slab.told else [slab.fd]
        slab.told = True
        place = struct.pack(f"<I{len(sizes)}Q", self._slabs.index(slab), *sizes)
        return head(kind, flags, len(sizes), task, a, b, x, len(body)) + place, fds

    def _slab(self) -> _Slab:
        read = self._words[self._read]
        free = [slab for slab in self._slabs if slab.number <= read]
        for slab in free:
            if slab.size > KEEP:
                os.ftruncate(slab.fd, 0)
                slab.size = 0
        slab = free[0] if free else _Slab(self._sent)
        if not free:
            self._slabs.append(slab)
        self._sent += 1
        slab.number = self._sent
        return slab

    def trim(self) -> None:
        """Give the memory of every free slab back."""
        read = self._words[self._read]
        for slab in self._slabs:
            if slab.number <= read and slab.size:
                os.ftruncate(slab.fd, 0)
                slab.size = 0

    def close(self) -> None:
        """Close every slab."""
        for slab in self._slabs:
            os.close(slab.fd)
        self._slabs.clear()


class Decoder:
    """Turns what came from the socket into frames.

    Parameters:
        words: the shared board.
        read: the word in which to count the slab frames that were read.
    """

    def __init__(self, sock: socket.socket, words: Any, read: int) -> None:
        self._sock, self._words, self._read = sock, words, read
        self._data = bytearray()
        self._chunk = memoryview(bytearray(64 << 10))
        self._fds: deque[int] = deque()
        self._slabs: list[int] = []

    def receive(self, flags: int = 0) -> bool:
        """Take in what the socket has; false at its end.

        Raises:
            BlockingIOError: nothing is there and `flags` say not to wait.
        """
        count, ancillary, _, _ = self._sock.recvmsg_into([self._chunk], _RIGHTS, flags | CLOEXEC)
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                self._fds.extend(fds)
        self._data += self._chunk[:count]
        return count > 0

    def frames(self) -> Iterator[Frame]:
        """Every frame that is complete."""
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        data = self._data
        if len(data) < _HEAD.size:
            return None
        magic, kind, flags, count, task, a, b, x, length = _HEAD.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError(
                "what came on a worker's socket is no frame: its function may write to descriptors of others"
            )
        at = _HEAD.size + (4 if flags & _SLAB else 0)
        if len(data) < at + 8 * count:
            return None
        lengths = struct.unpack_from(f"<{count}Q", data, at) if count else ()
        end = at + 8 * count
        if not flags & _SLAB:
            stop = end + length + sum(lengths)
            if len(data) < stop:
                return None
            body, place = data[end : end + length], end + length
            buffers: list[Any] = []
            for size in lengths:
                buffers.append(data[place : place + size])
                place += size
            del data[:stop]
            return Frame(kind, task, a, b, x, body, buffers)
        (slab,) = struct.unpack_from("<I", data, _HEAD.size)
        if flags & _NEW:
            self._slabs.append(self._fds.popleft())
        body, buffers = _copied(self._slabs[slab], length, lengths)
        self._words[self._read] += 1
        del data[:end]
        return Frame(kind, task, a, b, x, body, buffers)

    def close(self) -> None:
        """Close every descriptor that came."""
        for fd in (*self._slabs, *self._fds):
            os.close(fd)
        self._slabs.clear()
        self._fds.clear()


def _blank(size: int) -> Any:
    """Writable memory. NumPy's is not zeroed first, which saves a fifth of the time to receive an array."""
    numpy: Any = sys.modules.get("numpy")
    return bytearray(size) if numpy is None or size < 1 << 20 else numpy.empty(size, "u1")


def _copied(fd: int, length: int, lengths: tuple[int, ...]) -> tuple[bytearray, list[Any]]:
    body, buffers = bytearray(length), [_blank(size) for size in lengths]
    at = 0
    for part in (body, *buffers):
        view, place = memoryview(part), at
        while view.nbytes:
            done = os.preadv(fd, [view], place)
            if not done:
                raise EOFError("a memory file is shorter than its frame says")
            place += done
            view = view[done:]
        at += len(part)
    return body, buffers


def _write_all(fd: int, pieces: list[Any]) -> None:
    at = 0
    for piece in pieces:
        view, place = memoryview(piece).cast("B"), at
        while view.nbytes:
            done = os.pwrite(fd, view, place)
            place += done
            view = view[done:]
        at = place
