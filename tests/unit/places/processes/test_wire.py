"""Frames over a real socket: whole, in any split, with slabs that are reused and descriptors that travel."""

import array
import os
import pickle
import socket
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

from plait.places.processes.board import READ_BY_WORKER, Board
from plait.places.processes.wire import INLINE, KEEP, Decoder, Encoder, Frame, Kind, dumps, loads

BIG = INLINE + 1


class Line:
    """An encoder and a decoder with a socket between them."""

    def __init__(self, *, slabs: bool = True) -> None:
        self.board = Board()
        self.here, self.there = socket.socketpair()
        self.encoder = Encoder(self.board.words, READ_BY_WORKER, slabs=slabs)
        self.decoder = Decoder(self.there, self.board.words, READ_BY_WORKER)
        self.frames: list[Frame] = []
        self.fds = 0

    def send(self, kind: int = Kind.CHUNK, **parts: Any) -> None:
        """One frame, as a sender with a patient receiver does."""
        data, fds = self.encoder.encode(kind, **parts)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.fds += len(fds)
        view = memoryview(data)
        sent = self.here.sendmsg([view[: 1 << 15]], rights)
        while sent < len(view):
            self.take()
            sent += self.here.send(view[sent : sent + (1 << 15)])
        self.take()

    def post(self, **parts: Any) -> list[int]:
        """Send one small frame that nobody has read yet; the descriptors that went with it."""
        data, fds = self.encoder.encode(Kind.CHUNK, **parts)
        self.here.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        return fds

    def take(self) -> None:
        assert self.decoder.receive()
        self.frames += self.decoder.frames()

    def pop(self) -> Frame:
        return self.frames.pop(0)

    def close(self) -> None:
        self.encoder.close()
        self.decoder.close()
        self.here.close()
        self.there.close()
        self.board.close()


@pytest.fixture
def line(nothing_left) -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def memory_of(encoder: Encoder) -> int:
    """Bytes that its slabs take."""
    return sum(os.fstat(slab.fd).st_blocks * 512 for slab in encoder._slabs)


def test_a_frame_arrives_as_it_was(line):
    line.send(
        Kind.BATCH, task=2**32 - 1, a=2**63, b=5, x=0.25, body=b"hello", buffers=[memoryview(b"ab"), memoryview(b"")]
    )
    frame = line.pop()
    assert frame[:5] == (Kind.BATCH, 2**32 - 1, 2**63, 5, 0.25)
    assert (frame.body, frame.buffers) == (b"hello", [b"ab", b""])
    assert frame.weight == 7


def test_a_frame_of_nothing_arrives(line):
    line.send(Kind.CLOSE)
    assert line.pop() == (Kind.CLOSE, 0, 0, 0, 0.0, b"", [])


def test_an_infinite_budget_arrives(line):
    line.send(x=float("inf"))
    assert line.pop().x == float("inf")


def test_a_frame_in_single_bytes_arrives_once_it_is_complete(line):
    data, _ = line.encoder.encode(Kind.CHUNK, 1, 2, 3, 4.0, b"body", [memoryview(b"buffer")])
    for at in range(len(data)):
        assert list(line.decoder.frames()) == []
        line.here.send(data[at : at + 1])
        line.decoder.receive()
    (frame,) = line.decoder.frames()
    assert (frame.body, frame.buffers) == (b"body", [b"buffer"])


def test_several_frames_in_one_read_arrive_in_order(line):
    data = b""
    for number in range(20):
        data += line.encoder.encode(Kind.CHUNK, a=number, body=bytes([number]) * number)[0]
    line.here.sendall(data)
    line.decoder.receive()
    assert [(frame.a, frame.body) for frame in line.decoder.frames()] == [(n, bytes([n]) * n) for n in range(20)]


def test_the_end_of_the_other_side_is_told(line):
    line.here.close()
    assert line.decoder.receive() is False


def test_not_waiting_when_nothing_is_there(line):
    with pytest.raises(BlockingIOError):
        line.decoder.receive(socket.MSG_DONTWAIT)


class TestSlabs:
    def test_up_to_the_bound_a_body_travels_inline(self, line):
        line.send(body=b"x" * INLINE)
        assert len(line.pop().body) == INLINE
        assert line.encoder._slabs == []

    def test_beyond_it_a_slab_carries_it(self, line):
        line.send(body=b"x" * BIG, buffers=[memoryview(b"y" * 3)])
        frame = line.pop()
        assert (frame.body, frame.buffers) == (b"x" * BIG, [b"y" * 3])
        assert line.board.words[READ_BY_WORKER] == 1

    def test_one_that_was_read_is_used_again_and_its_descriptor_travels_once(self, line):
        for number in range(10):
            line.send(a=number, body=bytes([number]) * (BIG + number))
            frame = line.pop()
            assert (frame.a, frame.body) == (number, bytes([number]) * (BIG + number))
        assert len(line.encoder._slabs) == 1
        assert line.fds == 1

    def test_one_that_was_not_read_is_not_touched(self, line):
        for number in range(3):
            assert len(line.post(body=bytes([number]) * BIG)) == 1, "a slab of its own"
        frames = []
        while len(frames) < 3:
            line.decoder.receive()
            frames += line.decoder.frames()
        assert [frame.body == bytes([n]) * BIG for n, frame in enumerate(frames)] == [True] * 3

    def test_slabs_and_inline_frames_mix(self, line):
        for number in range(30):
            size = BIG if number % 3 else 10
            line.send(a=number, body=bytes([number]) * size)
            assert line.pop().body == bytes([number]) * size

    def test_descriptors_that_came_are_not_inherited(self, line):
        line.send(body=b"x" * BIG)
        assert [os.get_inheritable(fd) for fd in line.decoder._slabs] == [False]

    def test_a_huge_body_arrives_and_its_memory_is_given_back_at_the_next(self, line):
        body = bytearray(KEEP + 4097)
        body[::4096] = b"\7" * len(body[::4096])
        line.send(body=body)
        frame = line.pop()
        assert frame.body == body
        assert memory_of(line.encoder) >= KEEP
        line.send(body=b"x" * BIG)
        line.pop()
        assert memory_of(line.encoder) < 1 << 20

    def test_trim_gives_back_the_memory_of_what_was_read(self, line):
        line.send(body=b"x" * (1 << 20))
        line.pop()
        line.encoder.trim()
        assert memory_of(line.encoder) == 0
        line.send(body=b"y" * BIG)
        assert line.pop().body == b"y" * BIG

    def test_trim_leaves_what_was_not_read(self, line):
        line.post(body=b"x" * BIG)
        line.encoder.trim()
        line.decoder.receive()
        (frame,) = line.decoder.frames()
        assert frame.body == b"x" * BIG

    def test_without_memory_files_everything_travels_inline(self, nothing_left):
        line = Line(slabs=False)
        body, buffer = os.urandom(1 << 20), os.urandom(1 << 20)
        line.send(body=body, buffers=[memoryview(buffer)])
        frame = line.pop()
        assert frame.body == body
        assert frame.buffers == [buffer]
        assert line.fds == 0
        line.close()

    def test_a_slab_shorter_than_its_frame_says_is_an_error_not_a_hang(self, line):
        line.post(body=b"x" * BIG)
        os.ftruncate(line.encoder._slabs[0].fd, 10)
        line.decoder.receive()
        with pytest.raises(EOFError, match="shorter than its frame says"):
            list(line.decoder.frames())


class TestPickle:
    def through(self, line: Line, thing: Any) -> Any:
        body, buffers = dumps(thing)
        line.send(body=body, buffers=buffers)
        return loads(line.pop())

    @pytest.mark.parametrize("count", [4, 100_000], ids=["inline", "slab"])
    def test_arrays_arrive_equal_and_writable(self, line, count):
        sent = [numpy.arange(count), numpy.ones((count, 2), order="F"), {"nested": numpy.arange(count)[::2]}]
        got = self.through(line, sent)
        assert all(numpy.array_equal(a, b) for a, b in zip(sent[:2], got[:2], strict=True))
        assert numpy.array_equal(sent[2]["nested"], got[2]["nested"])
        got[0][0] = 5

    def test_large_buffers_are_not_copied_into_the_pickle(self):
        array_ = numpy.zeros(1 << 20, "u1")
        body, buffers = dumps(array_)
        assert len(body) < 1000
        assert [buffer.nbytes for buffer in buffers] == [1 << 20]
        array_[0] = 9
        assert buffers[0][0] == 9, "the buffer is the array itself"

    def test_buffers_of_every_shape(self, line):
        sent = [pickle.PickleBuffer(bytearray(b"abc")), array.array("d", [1.5]), memoryview(b"").tobytes()]
        got = self.through(line, sent)
        assert [bytes(got[0]), got[1], got[2]] == [b"abc", array.array("d", [1.5]), b""]
