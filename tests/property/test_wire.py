"""Any messages, in any split, arrive equal and in order."""

import array
import pickle
import socket

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.places.processes.board import READ_BY_WORKER, Board
from plait.places.processes.wire import APART, INLINE, Decoder, Encoder, Frame, dumps, loads

sizes = st.one_of(st.integers(0, 200), st.sampled_from([INLINE - 1, INLINE, INLINE + 1, 3 * INLINE]))
fill = st.integers(0, 255)
blobs = st.tuples(fill, sizes).map(lambda made: bytes([made[0]]) * made[1])
messages = st.tuples(
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.floats(allow_nan=False),
    blobs,
    st.lists(blobs, max_size=4),
)


@settings(max_examples=60)
@given(st.lists(messages, max_size=8), st.data(), st.booleans())
def test_messages_arrive_as_they_were(sent, data, slabs):
    board = Board()
    here, there = socket.socketpair()
    encoder = Encoder(board.words, READ_BY_WORKER, slabs=slabs)
    decoder = Decoder(there, board.words, READ_BY_WORKER)
    got = []
    try:
        for *head, body, buffers in sent:
            stream, fds = encoder.encode(*head, body, [memoryview(buffer) for buffer in buffers])
            rest, rights = memoryview(stream), [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            while rest:
                part = data.draw(st.integers(1, min(len(rest), 60_000)))
                here.sendmsg([rest[:part]], rights if fds else [])
                rest, fds = rest[part:], []
                if data.draw(st.booleans()) or len(rest):
                    assert decoder.receive()
                    got += decoder.frames()
            encoder.trim() if data.draw(st.booleans()) else None
        here.shutdown(socket.SHUT_WR)
        while decoder.receive():
            got += decoder.frames()
    finally:
        for closable in (encoder, decoder, here, there, board):
            closable.close()
    assert [(*frame[:5], bytes(frame.body), [bytes(b) for b in frame.buffers]) for frame in got] == sent


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


large = st.integers(APART - 1, APART + 1).map(bytes)


@given(values, st.lists(blobs | large, max_size=3))
def test_anything_that_pickles_arrives_equal_with_its_large_buffers_apart(value, buffers):
    body, apart = dumps((value, [pickle.PickleBuffer(bytearray(buffer)) for buffer in buffers]))
    assert [bytes(buffer) for buffer in apart] == [buffer for buffer in buffers if len(buffer) >= APART]
    got, back = loads(Frame(0, 0, 0, 0, 0.0, body, [bytearray(buffer) for buffer in apart]))
    assert got == value
    assert [bytes(buffer) for buffer in back] == buffers
