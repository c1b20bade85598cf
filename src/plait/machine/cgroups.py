"""Where the cgroups of this process lie: version 1, version 2 or both, at any depth, mounted anywhere.

    /proc/self/cgroup     which group in which hierarchy:   0::/user.slice/job
    /proc/self/mountinfo  where each hierarchy is mounted:  ... /  /sys/fs/cgroup ... - cgroup2 ...
    both                  -> /sys/fs/cgroup/user.slice/job, /sys/fs/cgroup/user.slice, /sys/fs/cgroup

A limit binds everything below it, so callers take the smallest on the way up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from plait.machine.procfs import Root, read

__all__ = ["Group", "groups"]


class Group(NamedTuple):
    """One folder of the cgroup file system: `version` is 1 or 2."""

    version: int
    path: str


class _Mount(NamedTuple):
    version: int
    controllers: frozenset[str]
    top: str  # the group that is mounted: not "/" in many containers
    path: str


def groups(controller: str, root: Root = "/") -> Iterator[Group]:
    """The groups that bind this process for a controller (`"cpu"`, `"memory"`), its own first, then the ones above."""
    seen: set[str] = set()
    mounts = _mounts(root)
    for version, controllers, path in _memberships(root):
        if version == 1 and controller not in controllers:
            continue
        for mount in mounts:
            if mount.version == version and (version == 2 or controller in mount.controllers):
                for folder in _upwards(mount, path):
                    if folder not in seen:
                        seen.add(folder)
                        yield Group(version, folder)


def _memberships(root: Root) -> Iterator[tuple[int, frozenset[str], str]]:
    for line in read(root, "proc/self/cgroup").splitlines():
        number, colon, rest = line.partition(":")
        names, second, path = rest.partition(":")
        if colon and second and path.startswith("/"):
            yield (2 if number == "0" and not names else 1), frozenset(names.split(",")), path


def _mounts(root: Root) -> list[_Mount]:
    found = []
    for line in read(root, "proc/self/mountinfo").splitlines():
        left, dash, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if not dash or len(fields) < 5 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        version = 2 if kind[0] == "cgroup2" else 1
        controllers = frozenset(kind[-1].split(","))
        found.append(_Mount(version, controllers, _unescape(fields[3]), _unescape(fields[4])))
    return found


def _unescape(path: str) -> str:
    """Spaces and the like stand as octal numbers in mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _upwards(mount: _Mount, path: str) -> Iterator[str]:
    """The folders from this process's group up to the mount point."""
    top = mount.top.rstrip("/")
    inside = path == top or path.startswith(top + "/")
    # A group outside of what is mounted here (or outside of the namespace: "/../x") leaves the mount point alone.
    parts = [part for part in path[len(top) :].split("/") if part] if inside else []
    if ".." in parts:
        parts = []
    for depth in range(len(parts), -1, -1):
        yield "/".join([mount.path.rstrip("/"), *parts[:depth]]) or "/"
