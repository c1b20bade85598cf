"""Observers that come with every run that asks for them: the progress bar, and those of installed packages."""

from __future__ import annotations

import sys
from collections.abc import Callable

from plait.events import Event, Hub
from plait.registry import Registry

__all__ = ["attach", "observers"]

#: Name -> what makes an observer for one run. The progress bar lives above this room and is reached by name alone.
observers: Registry[Callable[[], Callable[[Event], object]]] = Registry("observer", group="plait.observers")
observers.register("progress", "plait.watch.progress:progress_bar")


def attach(hub: Hub, progress: bool | None) -> None:
    """Add the progress bar where it is wanted: asked for, or in a notebook and not declined."""
    if progress or (progress is None and _in_notebook()):
        hub.add(observers.get("progress")())


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
