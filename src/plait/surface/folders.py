"""The files of a folder or glob, as a source of paths."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from plait.surface.source import ReadError, Source, missing

__all__ = ["files"]

#: Walking a tree to count its files ends here: beyond it the count would delay the first item.
COUNTED_FILES = 50_000


def files(path: str | os.PathLike[str]) -> Source[str]:
    """The paths of the files under a folder (at any depth), or of those that match a glob (`**` for any depth), sorted.

    Hidden files and folders are left out, and links to folders not followed.

    Raises:
        ReadError: there is no such file or folder; while iterating: nothing matches the glob.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        return Source(name, "files", lambda: _walk(name), lambda: _count_files(name))
    if os.path.exists(name):
        return Source(name, "files", lambda: iter([name]), lambda: 1)
    if glob.has_magic(name):
        return Source(name, "files", lambda: _matches(name), lambda: None)
    raise missing(name)


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
            elif is_file:
                yield path


def _matches(pattern: str) -> Iterator[str]:
    found = sorted(path for path in glob.iglob(pattern, recursive=True) if os.path.isfile(path))
    if not found:
        raise ReadError(pattern, None, "no file matches this pattern", "** matches folders at any depth.")
    yield from found


def _count_files(folder: str) -> int | None:
    count = 0
    for count, _ in enumerate(_walk(folder), 1):
        if count > COUNTED_FILES:
            return None
    return count
