import io
import sys
import threading
import time

import pytest
from rich.console import Console

from plait.events import ChunkFinished, ItemFailed, ItemRetried, PlacementChosen, RunFinished, RunStarted, WorkerCrashed
from plait.watch.progress import Figures, progress_bar

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
    assert text.startswith("plait: 3 of 3 items, ")
    assert "\x1b" not in text


def test_an_item_counts_once_whatever_its_attempts():
    bar = progress_bar()
    bar(chunk(10, failed=2))
    bar(ItemRetried(stage="parse", index=3, attempt=1, delay=0.0, error="OSError"))
    bar(ItemFailed(stage="parse", index=4, attempts=1, error="ValueError"))
    assert bar.figures.finished == 9
    bar(chunk(1))
    assert bar.figures.finished == 10


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
    assert bar.figures.finished == 80_000


def test_an_event_is_cheap():
    bar, one = progress_bar(), chunk(1)
    best = float("inf")
    for _ in range(5):
        began = time.thread_time()
        for _ in range(10_000):
            bar(one)
        best = min(best, (time.thread_time() - began) / 10_000)
    assert best < 2e-6


class TestFigures:
    def at(self, *counts, total=None):
        figures = Figures(total)
        figures.begin(0.0, None)
        for second, count in counts:
            figures.finished = count
            figures.rate(second)
        return figures

    def test_the_rate_is_that_of_the_last_seconds(self):
        figures = self.at(*((float(second), 10 * second) for second in range(1, 60)))
        figures.finished = 59 * 10 + 500
        assert figures.rate(60.0) > 50

    def test_the_rate_of_a_finished_run_is_that_of_all_of_it(self):
        figures = self.at((10.0, 1000))
        figures.done = True
        assert figures.rate(20.0) == 50

    def test_time_left(self):
        figures = self.at((1.0, 10), total=110)
        assert figures.left(10.0) == 10.0
        assert figures.left(0.0) is None
        figures.finished = 200  # the total was an estimate
        assert figures.left(10.0) == 0.0

    def test_words(self):
        figures = self.at((2.0, 10), total=1010)
        figures.stage, figures.model, figures.failures = "parse", "threads x 8", 2
        assert figures.words(2.0) == "parse: 10 of 1,010 items, 5.0/s, 0:02 gone, 3:20 left, threads x 8, 2 failed"
