"""Reading `/proc`: files as text, and what another process uses."""

from __future__ import annotations

import os

__all__ = ["Root", "all_queued_seconds", "cpu_seconds", "has_children", "queued_seconds", "read", "resident_bytes"]

#: The folder that holds `proc` and `sys`: "/" outside of tests.
Root = str | os.PathLike[str]


def read(root: Root, path: str) -> str:
    """The text of `path` below `root`, or `""` when it cannot be read."""
    try:
        with open(os.path.join(root, path.lstrip("/")), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def resident_bytes(pid: int, root: Root = "/") -> int | None:
    """Bytes of memory that a process holds; `None` where that is not known (it has ended; not Linux).

    **Cost**: about 20 microseconds.
    """
    try:
        return int(read(root, f"proc/{pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (IndexError, ValueError, OSError, AttributeError):
        return None


def cpu_seconds(pid: int, root: Root = "/") -> float | None:
    """Seconds of CPU that a process has used, all its threads together; `None` where that is not known.

    **Units**: seconds, in steps of the kernel's tick (10 ms on most machines).
    """
    # The command stands in parentheses and may hold spaces and parentheses itself: count from the last one.
    fields = read(root, f"proc/{pid}/stat").rpartition(")")[2].split()
    try:
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (IndexError, ValueError, OSError, AttributeError):
        return None


def has_children(pid: int, root: Root = "/") -> bool:
    """Whether a process has started others that have not ended; false where that is not known."""
    return any(read(root, f"proc/{pid}/task/{thread}/children").strip() for thread in _threads(pid, root))


def all_queued_seconds(pid: int, root: Root = "/") -> float:
    """Seconds for which the threads that a process has now were ready to run and had no CPU, as far as is known."""
    return sum(queued_seconds(pid, thread, root) or 0.0 for thread in _threads(pid, root))


def _threads(pid: int, root: Root) -> list[int]:
    try:
        return [int(name) for name in os.listdir(os.path.join(root, f"proc/{pid}/task"))]
    except OSError:
        return []


def queued_seconds(pid: int, thread: int | None = None, root: Root = "/") -> float | None:
    """Seconds for which a thread was ready to run and had no CPU; `None` where that is not known.

    Parameters:
        thread: its native id; `None`: the process's main thread.
    """
    try:
        return int(read(root, f"proc/{pid}/task/{thread or pid}/schedstat").split()[1]) * 1e-9
    except (IndexError, ValueError):
        return None
