"""How many CPUs this process may use."""

from __future__ import annotations

import math
import os
import sys

from plait.machine.capabilities import capabilities
from plait.machine.cgroups import Group, groups
from plait.machine.procfs import Root, read

__all__ = ["cores"]


def cores(root: Root = "/") -> int:
    """CPUs that this process may use, at least 1.

    The smallest of: the CPUs of its affinity mask, the CPU quota of its cgroup or any above it (rounded up: a quota of
    1.5 keeps two busy most of the time), and `PYTHON_CPU_COUNT` or `-X cpu_count` where set.

    **Cost**: about 0.2 ms; read anew at each call, since affinity and quotas change while a process runs.
    """
    known = capabilities()
    counts = [len(os.sched_getaffinity(0)) if known.affinity else os.cpu_count() or 1]
    asked = _asked_for()
    if asked is not None:
        counts.append(asked)
    if known.cgroups:
        counts += [math.ceil(quota) for group in groups("cpu", root) if (quota := _quota(group, root)) is not None]
    return max(1, min(counts))


def _asked_for() -> int | None:
    """What `-X cpu_count` or `PYTHON_CPU_COUNT` says; Python itself reads them from 3.13 on."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count()
    value = sys._xoptions.get("cpu_count")
    if value is None and not sys.flags.ignore_environment:
        value = os.environ.get("PYTHON_CPU_COUNT")
    try:
        count = int(value) if value is not None else 0
    except ValueError:  # "default", or nonsense
        return None
    return count if count > 0 else None


def _quota(group: Group, root: Root) -> float | None:
    """CPUs that a group grants, `None` when it sets no limit."""
    if group.version == 2:
        fields = read(root, f"{group.path}/cpu.max").split()
    else:
        fields = [read(root, f"{group.path}/cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    try:
        quota, period = map(int, fields if len(fields) > 1 else [*fields, "100000"])
    except ValueError:  # "max", an empty file
        return None
    return quota / period if quota > 0 and period > 0 else None
