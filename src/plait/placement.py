"""`Placement`: the exact form of a model, and the registry that makes one from a model's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from plait.errors import OptionError, UnknownOption
from plait.registry import Registry

__all__ = ["Placement", "models", "placement_for"]

PLACES = ("here", "processes", "interpreters", "dask")
STYLES = ("serial", "threads", "loop")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how items run: place x style x workers x width.

    `run.report.placement` prints as code that can be pasted into `model=`.

    Parameters:
        place: `"here"` (this process) or `"processes"`.
        style: how one place runs its items: `"serial"`, `"threads"` or `"loop"` (an asyncio event loop).
        workers: how many processes; `None` where the place has none or it is still to be measured.
        width: how many items one worker has in progress at once; `None`: still to be measured.
    """

    place: str
    style: str
    workers: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        if self.place not in PLACES:
            raise UnknownOption("place", self.place, PLACES)
        if self.style not in STYLES:
            raise UnknownOption("style", self.style, STYLES)
        for name in ("workers", "width"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise OptionError(name, value, "it takes a whole number from 1, or None to measure")
        if self.place == "here" and (self.workers or 1) > 1:
            raise OptionError("workers", self.workers, "this process is one worker: use place='processes', or width=")
        if self.style == "serial" and (self.width or 1) > 1:
            raise OptionError("width", self.width, "style 'serial' runs one item at a time: use style='threads'")

    @property
    def model(self) -> str:
        """The user's word for it: `"threads"`, `"processes+async"`, ..."""
        style = {"serial": "serial", "threads": "threads", "loop": "async"}[self.style]
        if self.place == "here":
            return style
        return self.place if self.style == "serial" else f"{self.place}+{style}"

    def with_bounds(self, workers: int | None, width: int | None) -> Placement:
        """The same placement, with `workers` and `width` where it has none of its own."""
        if self.place == "here":
            workers = None
        if self.style == "serial":
            width = None
        return replace(self, workers=self.workers or workers, width=self.width or width)


Factory = Callable[[], Placement]

#: Model name -> factory. Third parties add theirs with `models.register` or the entry-point group `plait.models`.
models: Registry[Factory] = Registry("model", group="plait.models")
models.register("serial", lambda: Placement("here", "serial", width=1))
models.register("threads", lambda: Placement("here", "threads"))
models.register("async", lambda: Placement("here", "loop"))
models.register("processes", lambda: Placement("processes", "serial", width=1))
models.register("processes+threads", lambda: Placement("processes", "threads"))
models.register("processes+async", lambda: Placement("processes", "loop"))


def placement_for(model: str | Placement) -> Placement:
    """The placement that a model's name stands for.

    Raises:
        UnknownOption: no such model is registered; the message lists the known ones and the nearest.
    """
    return model if isinstance(model, Placement) else models.get(model)()
