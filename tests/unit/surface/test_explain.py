"""What a report says of changes and of pickling."""

from dataclasses import replace

from plait.engine.figures import Change, Figures
from plait.fit.evidence import Evidence
from plait.placement import Placement
from plait.surface.explain import explain

THREADS, WIDE = Placement("here", "threads", 1, 64), Placement("here", "threads", 1, 256)
PROCESSES = Placement("processes", "serial", 2, 1)
ARRAYS = Evidence(10, 0.002, 0.002, 0.002, 1.0, 0.05, bytes_in=128.0, bytes_out=4 << 20, pickling=0.010)


def figures(*moves: Change, **counts) -> Figures:
    made = Figures("work", finished=100, **counts)
    made.began, made.ended = 0.0, 2.0
    made.moves = list(moves)
    made.placement, made.reasons = moves[-1].placement, next(m for m in reversed(moves) if not m.resized).reasons
    return made


def test_a_run_that_stayed_has_nothing_to_tell_of_changes():
    assert "At " not in explain(figures(Change(0.1, THREADS, ("it waits",))))


def test_a_width_that_grew_is_one_line():
    said = explain(
        figures(
            Change(0.1, THREADS, ("it waits",)),
            Change(0.2, replace(THREADS, width=128), ("goodput grew",), resized=True),
            Change(0.4, WIDE, ("goodput grew",), resized=True),
        )
    )
    assert "Its width went from 64 to 256 (2 changes until 400 ms; the last: goodput grew)." in said


def test_a_width_that_was_tried_and_left_is_named():
    said = explain(
        figures(
            Change(0.1, THREADS, ("it waits",)),
            Change(0.2, WIDE, ("goodput grew",), resized=True),
            Change(0.4, replace(THREADS, width=70), ("twice the width did not pay",), resized=True),
        )
    )
    assert "64 to 70, after 256 was tried" in said


def test_a_move_is_told_with_its_time_and_reasons():
    said = explain(
        figures(
            Change(0.1, THREADS, ("it waits",)),
            Change(0.9, PROCESSES, ("measured 230 items/s under threads, GIL held 95 %", "processes should do 1.9x")),
        )
    )
    assert said.startswith("work: processes, 2 workers, because measured 230 items/s under threads, GIL held 95 %;")
    assert "At 100 ms: threads, 64 in this process: it waits." in said
    assert "At 900 ms: processes, 2 workers." in said


def test_pickling_that_costs_more_than_the_work_is_named_with_a_remedy():
    said = explain(figures(Change(0.1, PROCESSES, ("it computes",)), evidence=ARRAYS))
    assert "83 % of the time is pickling (128 B there and 4.0 MiB back for each item): return less" in said
    assert "return its path" in said


def test_pickling_that_was_avoided_is_said_so():
    said = explain(figures(Change(0.1, THREADS, ("it computes",)), evidence=ARRAYS))
    assert "83 % of the time in worker processes would be pickling" in said


def test_what_comes_in_has_another_remedy():
    incoming = replace(ARRAYS, bytes_in=4 << 20, bytes_out=16.0)
    assert "pass a path or a range" in explain(figures(Change(0.1, PROCESSES, ("x",)), evidence=incoming))


def test_a_little_pickling_is_not_worth_a_word():
    cheap = replace(ARRAYS, pickling=0.0002)
    assert "pickling" not in explain(figures(Change(0.1, PROCESSES, ("x",)), evidence=cheap))


def test_a_width_that_came_back_did_not_go_anywhere():
    moves = [
        Change(0.1 * n, replace(THREADS, width=width), ("why",), resized=n > 0) for n, width in enumerate((32, 64, 32))
    ]
    said = explain(figures(*moves))
    assert "Its width is 32 as in the beginning, after 64 was tried (2 changes until 200 ms; the last: why)." in said
    assert "from 32 to 32" not in said


def test_what_ran_one_after_the_other_has_no_bottleneck():
    serial = Placement("here", "serial", 1, 1)
    assert "bottleneck" not in explain(figures(Change(0.1, serial, ("x",)), busy=2.0, seats=1, read=1000))
