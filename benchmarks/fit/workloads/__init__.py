"""The workloads, a module for each family. `FAMILIES` names them all, so that a cell imports its own family only."""

from __future__ import annotations

import importlib

from benchmarks.fit.workload import Workload

__all__ = ["FAMILIES", "NAMES", "find"]

FAMILIES = {
    "computing": (
        "no-ops",
        "tiny-python",
        "python-1ms",
        "python-40ms",
        "a-dozen",
        "skewed",
        "sha256",
        "zlib",
        "json",
        "lambda",
    ),
    "numeric": ("numpy-big", "numpy-matmul", "numpy-small", "large-arrays"),
    "waiting": ("sleep-20ms", "sleep-100ms", "half-and-half", "http-blocking", "degrading", "rejecting"),
    "coroutines": ("http-async", "async-sleep", "async-computing"),
    "handing": ("large-arguments", "large-results"),
    "files": ("small-files", "sqlite-writes", "subprocesses"),
    "compiled": ("extension-held", "extension-released"),
    "odd": ("drift", "bursts", "slow-source", "slow-consumer", "appends", "global-counter"),
}
NAMES = tuple(name for names in FAMILIES.values() for name in names)


def find(name: str) -> type[Workload]:
    """The workload of that name.

    Raises:
        LookupError: there is none, or its family's module does not define it.
    """
    for family, names in FAMILIES.items():
        if name in names:
            module = importlib.import_module(f"benchmarks.fit.workloads.{family}")
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, Workload) and getattr(value, "name", None) == name:
                    return value
    raise LookupError(f"no workload is called {name!r}; there are {', '.join(NAMES)}")
