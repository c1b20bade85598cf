"""The table of a flow's stages, on terminals wide and narrow."""

import io

import pytest
from rich.console import Console

from plait.watch.standing import Standing
from plait.watch.table import table
from plait.watch.view import View

STAGES = [
    Standing("fetch", 1234, 20_000, 64, failures=2, retries=12, model="threads x 64"),
    Standing("parse", 1100, 20_000, 4, model="processes x 2"),
    Standing("store", 1090, None, 10, model="async x 128"),
]


def drawn(stages=STAGES, slowest="", width=120, done=False):
    """The lines as a reader sees them, ten seconds after the start."""
    view = View(lambda: stages, lambda: slowest, None, 0.0)
    view.done = done
    console = Console(file=io.StringIO(), width=width)
    console.print(table(view, view.rows(10.0), 10.0, width))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_line_for_each_stage():
    assert drawn(slowest="parse") == [
        "   stage          done   rate  left  in progress  failed  retried  model",
        "   fetch  1,234/20,000  123/s  2:32           64       2       12  threads x 64",
        ">  parse  1,100/20,000  110/s  2:52            4                   processes x 2",
        "   store         1,090  109/s                 10                   async x 128",
        "0:10 gone; parse is the bottleneck",
    ]


def test_troubles_are_shown_once_there_are_any():
    assert "failed" not in drawn([Standing("a", 5), Standing("b", 5)])[0]
    assert "crashed" in drawn([Standing("a", 5, crashes=1), Standing("b", 5)])[0]


def test_the_end():
    stages = [Standing("fetch", 500, 500, 0, seconds=5.0, ended=True), Standing("parse", 500, 500, 0, ended=True)]
    assert drawn(stages, "fetch", done=True) == [
        "   stage     done   rate  model",
        ">  fetch  500/500  100/s",
        "   parse  500/500   50/s",
        "in 0:10; fetch was the bottleneck",
    ]


@pytest.mark.parametrize("end", ["source", "consumer"])
def test_an_end_that_holds_them_up(end):
    lines = drawn(slowest=end)
    assert lines[-1] == f"0:10 gone; the {end} is the bottleneck"
    assert not any(line.startswith(">") for line in lines)


def test_a_stage_that_is_called_like_an_end():
    lines = drawn([Standing("source", 5), Standing("b", 5)], "source")
    assert lines[1].startswith(">  source")
    assert lines[-1] == "0:10 gone; source is the bottleneck"


@pytest.mark.parametrize("width", range(32, 90, 3))
def test_a_narrow_terminal_loses_columns_and_no_line_breaks(width):
    lines = drawn(slowest="parse", width=width)
    assert len(lines) == 5
    assert all(len(line) <= width for line in lines)
    assert [line[:8].split()[-1] for line in lines[1:4]] == ["fetch", "parse", "store"]
    if width >= 40:
        assert "1,100/20,000" in lines[2]


def test_long_names_are_cut_before_figures_are():
    stages = [Standing("a_stage_with_a_very_long_name_indeed" * 2, 1234, 20_000), Standing("b", 7)]
    first = drawn(stages, width=60)[1]
    assert "1,234/20,000" in first
    assert "…" in first
