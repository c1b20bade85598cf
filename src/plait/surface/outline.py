"""What a flow would do, without running it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plait.engine.regroup import Batched, Regroup, Windowed, Written, unbatch
from plait.failure import shown
from plait.surface.calls import Spread, name_of, total_of
from plait.surface.first import First
from plait.surface.flow import Flow
from plait.surface.shapes import Filter, FilterAsync, FlatMap, FlatMapAsync, Tap, TapAsync
from plait.surface.source import Source

__all__ = ["Outline", "StageOutline", "outline"]


@dataclass(frozen=True, slots=True)
class StageOutline:
    """A stage of a flow.

    Parameters:
        how: the flow's method that made it.
        options: its own, without the defaults of a run.
        after: what its results go through before the next stage.
    """

    name: str
    how: str
    options: dict[str, Any]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """A flow in words.

    Parameters:
        total: about how many items the source has; `None` where that is not cheap to learn.
        before: what the items go through before the first stage.
        sinks: the files that it writes.
    """

    source: str
    total: int | None
    before: tuple[str, ...]
    stages: tuple[StageOutline, ...]
    sinks: tuple[str, ...]


def outline(flow: Flow[Any]) -> Outline:
    """What `flow` would do."""
    items, steps = flow._items, flow._steps
    between = (*flow._before, *(regroup for step in steps for regroup in step.after))
    return Outline(
        shown(items, 80) if isinstance(items, Source | First | list | tuple | range) else f"a {type(items).__name__}",
        total_of(items),
        tuple(map(_described, flow._before)),
        tuple(
            StageOutline(
                step.options.get("name") or name_of(step.fn),
                _HOW.get(type(step.call), "map"),
                {name: value for name, value in step.options.items() if name != "name"},
                tuple(map(_described, step.after)),
            )
            for step in steps
        ),
        tuple(_path(regroup) for regroup in between if isinstance(regroup, Written)),
    )


_HOW: dict[type, str] = {
    Spread: "starmap",
    Filter: "filter",
    FilterAsync: "filter",
    FlatMap: "flat_map",
    FlatMapAsync: "flat_map",
    Tap: "tap",
    TapAsync: "tap",
}


def _described(regroup: Regroup) -> str:
    """The call that made it."""
    match regroup:
        case Batched():
            return f"batch({regroup.count}{_given(within=regroup.within)})"
        case Windowed():
            return f"window({_given(seconds=regroup.seconds, items=regroup.items).removeprefix(', ')})"
        case Written():
            return f"to({_path(regroup)})"
    return "unbatch()" if regroup is unbatch else str(regroup)


def _path(regroup: Written) -> str:
    return str(getattr(regroup.sink, "path", regroup.sink))


def _given(**values: Any) -> str:
    return "".join(f", {name}={value}" for name, value in values.items() if value is not None)
