"""Words in memory that two processes share."""

import os

import pytest

from plait.places.processes.board import READ_BY_PARENT, READ_BY_WORKER, SLOTS, Board


@pytest.fixture
def board():
    made = Board()
    yield made
    made.close()


@pytest.fixture
def theirs(board):
    """The same memory, as the worker maps it."""
    made = Board(os.dup(board.fd))
    yield made
    made.close()


def test_it_begins_empty(board):
    assert board.in_hand(4) == [0, 0, 0, 0]
    assert board.words[READ_BY_WORKER] == board.words[READ_BY_PARENT] == 0
    assert board.stack() == ""


def test_what_one_end_writes_the_other_reads(board, theirs):
    theirs.slots[0] = 7
    theirs.slots[2] = 2**63
    assert board.in_hand(3) == [7, 0, 2**63]
    board.words[READ_BY_PARENT] = 5
    assert theirs.words[READ_BY_PARENT] == 5


def test_counters_are_no_slots(board):
    board.words[READ_BY_WORKER] = board.words[READ_BY_PARENT] = 9
    assert not any(board.in_hand(SLOTS))


def test_the_last_slot_is_one(board, theirs):
    theirs.slots[SLOTS - 1] = 3
    assert board.in_hand(SLOTS)[-1] == 3
    assert len(board.slots) == SLOTS


def test_what_is_written_behind_the_words_is_the_stack(board, theirs):
    theirs.slots[SLOTS - 1] = 3
    os.write(theirs.fd, b"Fatal Python error: Segmentation fault\n\xff\n")  # as faulthandler does: no seek
    assert board.stack() == "Fatal Python error: Segmentation fault\n\N{REPLACEMENT CHARACTER}"
    assert board.in_hand(SLOTS)[-1] == 3


def test_a_stack_without_end_is_cut(board, theirs):
    os.write(theirs.fd, b"x" * 100_000)
    assert len(board.stack()) == 16 << 10


def test_closing_lets_go_of_its_descriptor(nothing_left):
    made = Board()
    made.close()
    with pytest.raises(ValueError, match="released"):
        made.in_hand(1)


def test_without_memory_files_a_temporary_one_will_do(monkeypatch, nothing_left):
    monkeypatch.setenv("PLAIT_WITHOUT", "memfd")
    made = Board()
    theirs = Board(os.dup(made.fd))
    theirs.slots[1] = 4
    assert made.in_hand(2) == [0, 4]
    theirs.close()
    made.close()
