"""Which features of the operating system are there; each has a fallback where it is not.

The environment variable `PLAIT_WITHOUT="memfd,schedstat"` takes features away: that is how tests meet, on Linux, what
other systems lack, and how a user works around a sandbox that promises more than it keeps.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from plait.errors import OptionError, nearest

__all__ = ["Capabilities", "capabilities"]


@dataclass(frozen=True)  # with slots it takes twice as long to import
class Capabilities:
    """What this system can do.

    Parameters:
        memfd: anonymous shared memory that leaves nothing in `/dev/shm`.
        pidfd: a handle that tells when another process ends, safe from reused process ids.
        pdeathsig: a child can ask to be killed with its parent.
        schedstat: how long a thread waited for a CPU can be read.
        affinity: the set of CPUs that this process may use can be read.
        cgroups: limits of CPU and memory can be read.
        oom_score: a process can tell the kernel that it is to be killed first when memory runs out.
    """

    memfd: bool
    pidfd: bool
    pdeathsig: bool
    schedstat: bool
    affinity: bool
    cgroups: bool
    oom_score: bool


def capabilities() -> Capabilities:
    """What was detected (once per process), less what `PLAIT_WITHOUT` names.

    Raises:
        OptionError: `PLAIT_WITHOUT` names a capability that does not exist.
    """
    return _less(os.environ.get("PLAIT_WITHOUT", ""))


@functools.lru_cache(maxsize=8)
def _less(without: str) -> Capabilities:
    known = [field.name for field in fields(Capabilities)]
    absent = [name for part in without.split(",") if (name := part.strip())]
    for name in absent:
        if name not in known:
            wants = f"{name!r} is not a capability.{nearest(name, known)} Known: {', '.join(known)}"
            raise OptionError("PLAIT_WITHOUT", without, wants)
    return replace(_detected(), **dict.fromkeys(absent, False))


@functools.cache
def _detected() -> Capabilities:
    return Capabilities(
        # Sandboxes refuse system calls that the kernel has: try, do not just look.
        memfd=_opens(lambda: os.memfd_create("plait")),
        pidfd=_opens(lambda: os.pidfd_open(os.getpid())),
        pdeathsig=sys.platform == "linux",
        schedstat=_has_schedstat(),
        affinity=hasattr(os, "sched_getaffinity"),
        cgroups=os.path.exists("/proc/self/cgroup"),
        oom_score=os.access("/proc/self/oom_score_adj", os.W_OK),
    )


def _opens(make: Callable[[], int]) -> bool:
    try:
        os.close(make())
    except (OSError, AttributeError):
        return False
    return True


def _has_schedstat() -> bool:
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            return len(file.read().split()) >= 2
    except OSError:
        return False
