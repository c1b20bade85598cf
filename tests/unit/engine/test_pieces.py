"""What waits to be sent, and what a seat has in hand."""

from dataclasses import astuple

import pytest

from plait.engine.pieces import DONE, LATE, OPEN, Chunk, Piece, Post
from tests.unit.engine.seats import FakeSeat


def test_a_piece_is_split_in_order():
    piece = Piece(10, list("abcde"), attempt=2, since=1.0, by_value=True)
    head = piece.split(2)
    assert astuple(head) == astuple(Piece(10, ["a", "b"], 2, 0, 1.0, True))
    assert astuple(piece) == astuple(Piece(12, ["c", "d", "e"], 2, 0, 1.0, True))


def test_a_part_leaves_the_piece_as_it_is():
    piece = Piece(10, list("abc"), crashes=1)
    assert astuple(piece.part(1, 3)) == astuple(Piece(11, ["b", "c"], crashes=1))
    assert piece.items == list("abc")


def test_what_a_worker_died_of_is_run_alone():
    assert Piece(0, ["a"], crashes=1).alone
    assert not Piece(0, ["a"], attempt=3).alone


@pytest.mark.parametrize(
    ("marks", "runs"),
    [
        ([OPEN, OPEN, OPEN], [(0, 3)]),
        ([DONE, OPEN, OPEN], [(1, 3)]),
        ([OPEN, DONE, OPEN, LATE, OPEN], [(0, 1), (2, 3), (4, 5)]),
        ([DONE, LATE], []),
    ],
)
def test_runs_are_the_stretches_of_which_nothing_came_back(marks, runs):
    chunk = Chunk.of(0, Piece(0, list(range(len(marks)))))
    chunk.marks[:] = bytes(marks)
    assert list(chunk.runs()) == runs


@pytest.fixture
def post() -> Post:
    made = Post(FakeSeat(1))
    for seq, count in ((100, 3), (200, 2)):
        made.chunks[seq] = Chunk.of(seq, Piece(seq, list(range(count))))
        made.in_hand += count
    return made


def test_a_chunk_is_found_by_any_of_its_numbers(post):
    assert [post.find(seq) and post.find(seq).seq for seq in (99, 100, 102, 103, 200, 201, 202)] == [
        None,
        100,
        100,
        None,
        200,
        200,
        None,
    ]


def test_a_chunk_is_gone_when_all_of_it_is_accounted_for(post):
    chunk = post.find(100)
    post.done(chunk, 2)
    assert post.find(100) is chunk
    post.done(chunk, 1)
    assert post.find(100) is None
    assert post.in_hand == 2


def test_a_seat_with_a_suspect_is_exclusive(post):
    assert not post.exclusive
    post.chunks = {300: Chunk.of(300, Piece(0, ["x"], crashes=1))}
    assert post.exclusive
