"""How much memory this process may use, and how to read an amount of it."""

from __future__ import annotations

import os
import re

from plait.errors import OptionError
from plait.machine.capabilities import capabilities
from plait.machine.cgroups import Group, groups
from plait.machine.procfs import Root, read

__all__ = ["memory_available", "memory_limit", "parse_bytes"]

_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", start=1):
    _UNITS |= {f"{_letter}b": 1000**_power, f"{_letter}ib": 1024**_power, _letter: 1024**_power}

#: The names of the limit, of what is used, and of what of it the kernel gives back on demand, by cgroup version.
_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def parse_bytes(amount: str | int) -> int:
    """Bytes from `"2GiB"`, `"500MB"`, `"1.5 GB"`, `"64k"` or a number.

    **Units**: kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB and bare K, M, G, T powers of 1024. Capitals do
    not matter.

    Raises:
        OptionError: (option `memory`) it is not an amount of at least one byte.
    """
    value: float = 0
    if isinstance(amount, int) and not isinstance(amount, bool):
        value = amount
    elif isinstance(amount, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)", amount.strip().lower(), re.ASCII)
        if match and match[2] in _UNITS:
            whole = match[1].isdigit()
            value = int(match[1]) * _UNITS[match[2]] if whole else float(match[1]) * _UNITS[match[2]]
    if value < 1:
        raise OptionError("memory", amount, 'it takes an amount above zero: "2GiB", "500MB" or a whole number of bytes')
    return int(value)


def memory_limit(root: Root = "/") -> int:
    """Bytes that this process may use: the smallest limit of its cgroups, else the machine's memory."""
    return min([_physical(root), *(limit for group in _groups(root) if (limit := _limit(group, root)) is not None)])


def memory_available(root: Root = "/") -> int:
    """Bytes that this process can still take without swapping or meeting a limit.

    What the kernel gives back on demand (file pages that nobody used lately) counts as available.
    """
    free = [_meminfo("MemAvailable", root) or _physical(root)]
    for group in _groups(root):
        limit = _limit(group, root)
        used = _number(read(root, f"{group.path}/{_FILES[group.version][1]}"))
        if limit is not None and used is not None:
            free.append(limit - used + _reclaimable(group, root))
    return max(0, min(free))


def _groups(root: Root) -> list[Group]:
    return list(groups("memory", root)) if capabilities().cgroups else []


def _limit(group: Group, root: Root) -> int | None:
    return _number(read(root, f"{group.path}/{_FILES[group.version][0]}"))


def _reclaimable(group: Group, root: Root) -> int:
    wanted = _FILES[group.version][2]
    for line in read(root, f"{group.path}/memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == wanted:
            return _number(value) or 0
    return 0


def _number(text: str) -> int | None:
    try:
        value = int(text)
    except ValueError:  # "max", an empty file
        return None
    return value if value >= 0 else None


def _physical(root: Root) -> int:
    total = _meminfo("MemTotal", root)
    if total:
        return total
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 1 << 62  # unknown: no limit that anybody meets


def _meminfo(name: str, root: Root) -> int | None:
    match = re.search(rf"^{name}:\s+(\d+) kB", read(root, "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None
