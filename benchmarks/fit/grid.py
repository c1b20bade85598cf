"""Specs: what a cell is asked to run under, as plain JSON, and the axes that a workload's grid is put together from.

A spec is `"auto"`, a placement of plait's (`{"place", "style", "workers", "width"}`), or a peer (`{"peer"}`). Plait
sizes its chunks itself and has no option for it: the axis of chunk sizes is walked by peers that have one (`{"peer",
"chunk"}`).
"""

from __future__ import annotations

import json
import os
from typing import Any, TypeAlias

__all__ = [
    "AUTO",
    "SERIAL",
    "Spec",
    "chunked",
    "cores",
    "label",
    "loops",
    "parsed",
    "process_loops",
    "process_threads",
    "processes",
    "threads",
]

Spec: TypeAlias = "str | dict[str, Any]"

AUTO = "auto"


def cores() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _placement(place: str, style: str, workers: int, width: int) -> Spec:
    return {"place": place, "style": style, "workers": workers, "width": width}


SERIAL = _placement("here", "serial", 1, 1)


def threads(*widths: int) -> tuple[Spec, ...]:
    """Threads of this process."""
    return tuple(_placement("here", "threads", 1, width) for width in widths)


def loops(*widths: int) -> tuple[Spec, ...]:
    """An event loop in this process."""
    return tuple(_placement("here", "loop", 1, width) for width in widths)


def processes(*workers: int) -> tuple[Spec, ...]:
    """Worker processes, one item at a time each; one process a core where no number is given."""
    return tuple(_placement("processes", "serial", count, 1) for count in workers or (cores(),))


def process_threads(*widths: int) -> tuple[Spec, ...]:
    """A worker process for each core, with `width` threads in each."""
    return tuple(_placement("processes", "threads", cores(), width) for width in widths)


def process_loops(*widths: int) -> tuple[Spec, ...]:
    """A worker process for each core, with an event loop in each."""
    return tuple(_placement("processes", "loop", cores(), width) for width in widths)


def chunked(*sizes: int) -> tuple[Spec, ...]:
    """Both peers that take a chunk size, with each of these."""
    peers = ("Pool.imap", "ProcessPoolExecutor.map")
    return tuple({"peer": peer, "chunk": size} for size in sizes for peer in peers)


def label(spec: Spec) -> str:
    """A spec in a few words, unique within a grid."""
    if isinstance(spec, str):
        return spec
    if "peer" in spec:
        return spec["peer"] + (f" chunk {spec['chunk']}" if "chunk" in spec else "")
    style = {"serial": "serial", "threads": "threads", "loop": "async"}[spec["style"]]
    if spec["place"] == "here":
        return style if style == "serial" else f"{style} {spec['width']}"
    return f"{spec['place']} {spec['workers']}" + ("" if style == "serial" else f" + {style} {spec['width']}")


def parsed(text: str) -> Spec:
    """The spec that a command line spells: JSON, or a bare word for `auto`."""
    return text if text == AUTO else json.loads(text)
