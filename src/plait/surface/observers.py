"""Observers that come with every run that asks for them: the progress bar, and those of installed packages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from plait.events import Event, Hub
from plait.registry import Registry
from plait.surface.report import Report

__all__ = ["attach", "observers"]

#: Name -> what makes an observer for one run, given its `report=` where that is at hand. An observer may name the
#: events that it wants in an attribute `types`. The progress bar lives above this room and is reached by name alone.
observers: Registry[Callable[..., Callable[[Event], object]]] = Registry("observer", group="plait.observers")
observers.register("progress", "plait.watch.progress:progress_bar")


def attach(hub: Hub, progress: bool | None, report: Report | None = None) -> None:
    """Add the progress bar where it is wanted: asked for, or in a notebook and not declined."""
    if progress or (progress is None and _in_notebook()):
        given: dict[str, Any] = {} if report is None else {"report": report}
        observer = observers.get("progress")(**given)
        hub.add(observer, getattr(observer, "types", None))


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
