"""The files of a folder or glob: as a source of paths, and as the parts of an input."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from plait.surface.source import ReadError, Source, missing

__all__ = ["PARTIAL", "files", "paths_of"]

#: Walking a tree to count its files ends here: beyond it the count would delay the first item.
COUNTED_FILES = 50_000
#: What an output is called until it is complete.
PARTIAL = ".partial"


def files(path: str | os.PathLike[str]) -> Source[str]:
    """The paths of the files under a folder (at any depth), or of those that match a glob (`**` for any depth), sorted.

    Hidden files and folders are left out, links to folders not followed. Outputs that are not complete (`*.partial`,
    maybe of this very run) are left out, too, unless the glob itself ends in `.partial`.

    Raises:
        ReadError: there is no such file or folder; while iterating: nothing matches the glob.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        return Source(name, "files", lambda: _walk(name), lambda: _count_files(name))
    if os.path.exists(name):
        return Source(name, "files", lambda: iter([name]), lambda: 1)
    if glob.has_magic(name):
        return Source(name, "files", lambda: iter(_matches(name)), lambda: None)
    raise missing(name)


def paths_of(path: str) -> list[str]:
    """The files that an input is made of: the one that is called so, or else those that match it as a glob, sorted.

    Raises:
        ReadError: it is a folder, is not there, or nothing matches.
    """
    if os.path.isdir(path):
        raise ReadError(path, None, "this is a folder", "plait.read.files() gives the paths of the files in it.")
    if os.path.exists(path):
        return [path]
    if glob.has_magic(path):
        return _matches(path)
    raise missing(path)


def _walk(folder: str) -> Iterator[str]:
    """Files below `folder`, in the order of their paths' parts; holds one folder's names a level."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False), entry.is_file()) for entry in entries)
    except OSError as error:
        raise ReadError(folder, None, f"the folder cannot be read: {error.strerror}", "") from None
    for name, is_folder, is_file in found:
        if not name.startswith("."):
            path = os.path.join(folder, name)
            if is_folder:
                yield from _walk(path)
            elif is_file and not name.endswith(PARTIAL):
                yield path


def _matches(pattern: str) -> list[str]:
    wanted = pattern.endswith(PARTIAL)
    found = (path for path in glob.iglob(pattern, recursive=True) if wanted or not path.endswith(PARTIAL))
    paths = sorted(path for path in found if os.path.isfile(path))
    if not paths:
        raise ReadError(pattern, None, "no file matches this pattern", "** matches folders at any depth.")
    return paths


def _count_files(folder: str) -> int | None:
    count = 0
    for count, _ in enumerate(_walk(folder), 1):
        if count > COUNTED_FILES:
            return None
    return count
