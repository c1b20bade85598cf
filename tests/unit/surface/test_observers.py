"""Who observes a run without being asked."""

import sys
from types import ModuleType

import pytest

from plait.engine.figures import Figures
from plait.events import Hub, RunFinished, RunStarted
from plait.surface.observers import attach, observers
from plait.surface.report import Report


@pytest.fixture
def bar():
    """A progress bar that only remembers."""
    heard: list = []
    real = observers.get("progress")
    observers.register("progress", lambda: heard.append, replace=True)
    yield heard
    observers.register("progress", real, replace=True)


class ZMQInteractiveShell:
    """What IPython calls the shell of a notebook."""


class TerminalInteractiveShell:
    """What it calls that of a terminal."""


@pytest.mark.parametrize(
    ("shell", "progress", "drawn"),
    [
        (None, None, False),
        (None, True, True),
        (None, False, False),
        (TerminalInteractiveShell, None, False),
        (ZMQInteractiveShell, None, True),
        (ZMQInteractiveShell, False, False),
    ],
)
def test_a_bar_is_drawn_where_it_is_asked_for_and_in_notebooks(shell, progress, drawn, bar, monkeypatch):
    module = ModuleType("IPython")
    if shell is not None:
        module.get_ipython = shell
    monkeypatch.setitem(sys.modules, "IPython", module)
    hub = Hub()
    attach(hub, progress)
    assert hub.wanted is drawn
    hub.emit(RunStarted(run="run-1", total=3))
    assert len(bar) == drawn


def test_the_bar_is_there():
    assert callable(observers.get("progress")())


def test_the_bar_gets_the_report_and_hears_what_it_names(bar):
    class Bar:
        types = (RunStarted,)

        def __init__(self, report):
            self.report = report

        def __call__(self, event):
            bar.append((event, self.report))

    observers.register("progress", Bar, replace=True)
    hub, report = Hub(), Report(Figures("parse"))
    attach(hub, True, report)
    event = RunStarted(run="run-1", total=3)
    hub.emit(event)
    hub.emit(RunFinished(run="run-1", outcome="done", finished=3, failures=0, seconds=1.0))
    assert bar == [(event, report)]
