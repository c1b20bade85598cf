"""What the figures were measured on: versions, cores, kernel, load. No names of hosts or users, no paths."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PEERS = ("plait", "joblib", "loky", "mpire", "pebble", "dask", "numpy", "uvloop", "cloudpickle", "psutil")


def versions(names: Iterable[str] = PEERS) -> dict[str, str]:
    """Python's and every peer's version; "not installed" where there is none."""
    found = {f"Python ({platform.python_implementation()})": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def hardware() -> str:
    """One line: cores, processor, memory, kernel."""
    usable = len(os.sched_getaffinity(0))
    return (
        f"{usable} of {os.cpu_count()} cores usable ({processor()}), {memory_gib():.0f} GiB, "
        f"{platform.system()} {platform.release()}"
    )


def load() -> str:
    return " ".join(f"{average:.2f}" for average in os.getloadavg())
