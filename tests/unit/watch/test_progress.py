import io
import sys
import threading
import time

import pytest
from rich.console import Console

from plait.engine.figures import Figures
from plait.events import ChunkFinished, ItemFailed, ItemRetried, PlacementChosen, RunFinished, RunStarted, WorkerCrashed
from plait.placement import Placement
from plait.surface.flow_report import FlowReport
from plait.surface.report import Report
from plait.watch.progress import progress_bar

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def screen():
    return Console(file=io.StringIO(), force_terminal=True, width=140, legacy_windows=False)


def started(total=None):
    return RunStarted(run="r", total=total)


def chunk(items, failed=0):
    return ChunkFinished(stage="parse", items=items, failed=failed, seconds=0.1)


def finished(count, outcome="done", failures=0):
    return RunFinished(run="r", outcome=outcome, finished=count, failures=failures, seconds=1.0)


def done(bar):
    (row,) = bar.view.rows(time.monotonic())
    return row.at.finished


def interrupted(screen):
    with progress_bar(console=screen) as bar:
        bar(started())
        raise KeyboardInterrupt


def last_line(screen):
    return screen.file.getvalue().split("\r")[-1]


def test_the_last_line_tells_everything(screen):
    bar = progress_bar(console=screen)
    bar(started(total=2000))
    bar(PlacementChosen(stage="parse", model="processes", workers=2, width=1, reasons=()))
    bar(chunk(1500))
    bar(ItemRetried(stage="parse", index=3, attempt=1, delay=0.0, error="OSError"))
    bar(ItemFailed(stage="parse", index=4, attempts=1, error="ValueError"))
    bar(WorkerCrashed(stage="parse", pid=1, status="killed", suspects=(5,)))
    bar(chunk(500))
    bar(finished(1999, failures=1))
    text = screen.file.getvalue()
    for said in ("parse", "2,000/2,000", "processes x 2", "1 failed", "1 retried", "1 crashed", "/s"):
        assert said in text
    assert text.index(HIDDEN) < text.index(SHOWN)


@pytest.mark.parametrize("outcome", ["done", "failed", "cancelled"])
def test_the_cursor_comes_back_however_the_run_ends(screen, outcome):
    bar = progress_bar(console=screen)
    bar(started())
    bar(finished(0, outcome))
    assert last_line(screen).endswith(SHOWN)


def test_the_cursor_comes_back_without_a_last_event(screen):
    with pytest.raises(KeyboardInterrupt):
        interrupted(screen)
    assert last_line(screen).endswith(SHOWN)


def test_closing_again_and_events_after_it_change_nothing(screen):
    bar = progress_bar(console=screen)
    bar(started())
    bar.close()
    text = screen.file.getvalue()
    bar.close()
    bar(started())
    bar(chunk(1))
    assert screen.file.getvalue() == text


def test_no_thread_is_left(screen, until):
    before = set(threading.enumerate())
    bar = progress_bar(console=screen)
    bar(started(10))
    assert set(threading.enumerate()) - before
    bar(finished(10))
    until(lambda: set(threading.enumerate()) <= before, what="the end of the drawing thread")


def test_without_a_terminal_it_says_lines_of_text(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = progress_bar(total=3)
    bar(started())
    bar(chunk(3))
    bar(finished(3))
    text = sys.stderr.getvalue()
    assert text.startswith("parse: 3 of 3 items, ")
    assert "\x1b" not in text


def test_an_item_counts_once_whatever_its_attempts():
    bar = progress_bar()
    bar(chunk(10, failed=2))
    bar(ItemRetried(stage="parse", index=3, attempt=1, delay=0.0, error="OSError"))
    bar(ItemFailed(stage="parse", index=4, attempts=1, error="ValueError"))
    assert done(bar) == 9
    bar(chunk(1))
    assert done(bar) == 10


def test_counts_from_many_threads_are_complete():
    bar = progress_bar()
    one = chunk(1)

    def work():
        for _ in range(20_000):
            bar(one)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done(bar) == 80_000


def test_an_event_is_cheap():
    bar, one = progress_bar(), chunk(1)
    best = float("inf")
    for _ in range(5):
        began = time.thread_time()
        for _ in range(10_000):
            bar(one)
        best = min(best, (time.thread_time() - began) / 10_000)
    assert best < 4e-6


class TestWithAReport:
    """Figures are looked at: nothing is counted, and events only say when the run begins and ends."""

    def figures(self, stage, finished, total=None):
        figures = Figures(stage, total=total)
        figures.start()
        figures.chose(Placement("here", "threads", width=8), ())
        figures.read = figures.finished = finished
        return figures

    def test_it_hears_of_no_item(self):
        bar = progress_bar(report=Report(self.figures("parse", 0)))
        assert bar.types == (RunStarted, RunFinished, ChunkFinished)

    def test_it_shows_what_no_event_told(self, screen):
        figures = self.figures("parse", 5, total=2000)
        bar = progress_bar(report=Report(figures), console=screen)
        bar(started(total=2000))
        figures.finished = figures.read = 2000  # a journal has replayed them
        figures.end()
        bar(finished(2000))
        assert "2,000/2,000" in last_line(screen)
        assert "threads x 8" in last_line(screen)

    def test_a_total_that_is_known_better(self, screen):
        bar = progress_bar(5000, report=Report(self.figures("parse", 5)), console=screen)
        bar(started())
        bar(finished(5, "cancelled"))
        assert "5/5,000" in screen.file.getvalue()

    def test_a_flow_has_a_line_for_each_stage(self, screen):
        stages = tuple(self.figures(name, 7, total=7) for name in ("fetch", "parse", "store"))
        for figures in stages:
            figures.end()
        bar = progress_bar(report=FlowReport(stages), console=screen)
        bar(started())
        bar(finished(7))
        text = screen.file.getvalue()
        assert text.index("fetch") < text.index("parse") < text.index("store")
        assert text.count(SHOWN) == 1

    def test_without_a_terminal_a_flow_is_one_line_of_text(self, monkeypatch):
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        bar = progress_bar(report=FlowReport((self.figures("fetch", 9), self.figures("parse", 7))))
        bar(started())
        bar(finished(7))
        (line,) = sys.stderr.getvalue().splitlines()
        assert line.startswith("plait: 0:00 gone; fetch 9, ")
        assert "; parse 7, " in line
