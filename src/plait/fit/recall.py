"""`recall` and `remember`: what earlier runs learned of a function, kept in the user's cache folder by its code.

    remember -> <folder>/<key>.json.<token>.tmp --os.replace--> <folder>/<key>.json -> recall

One small file a function. Readers see a whole file or none, whoever writes or is killed meanwhile; what is damaged,
old, somebody else's or absurd counts as not there. Nothing here ever raises: without a folder, every run is the first.
The folder may be deleted at any time.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import sys
import time
from typing import Any

from plait.fit.codehash import code_key
from plait.fit.recalled import READ, Recalled, parse, text

__all__ = ["Memory", "Recalled", "default_folder", "recall", "remember"]

log = logging.getLogger("plait")

#: Seconds after which what was learned is forgotten, and after which an unfinished file is nobody's.
FORGOTTEN, UNFINISHED = 90 * 86_400.0, 3_600.0
#: Files that are kept.
KEPT = 512
#: Folders may hold other things: only names like these are ever removed.
OURS = re.compile(r"[0-9a-f]{32}\.json(\.[0-9a-f]{16}\.tmp)?")
KEY = re.compile(r"[0-9a-f]{32}")

OFF = frozenset({"off", "0", "no", "none", "false", "never", "disabled"})
ON = frozenset({"", "on", "1", "yes", "true"})


def recall(function: Any) -> Recalled | None:
    """What earlier runs learned of `function`; `None` where nothing is known or the memory is off.

    `PLAIT_CACHE` names another folder, or turns the memory `off`; it is off where `CI` is set and `PLAIT_CACHE` names
    no folder. A folder or file that another user owns or may write to is not used.

    **Cost**: under 0.1 ms where nothing is known, under 0.2 ms else, beyond the count of CPUs once in ten seconds.
    **Guarantee**: never raises. **Concurrency**: safe from any thread and process.
    """
    return _through("recalled", lambda memory, key: memory.get(key), function)


def remember(function: Any, recalled: Recalled) -> None:
    """Keep what was learned of `function` for later runs, in place of what was there.

    **Cost**: about 0.2 ms, and some milliseconds once in 32 times, when old files are removed. **Guarantee**: never
    raises; what could not be recalled later (an infinite rate, a placement of no known model) is not written.
    **Concurrency**: safe from any thread and process; the last one to write is the one that is recalled.
    """
    _through("remembered", lambda memory, key: memory.put(key, recalled), function)


def _through(what: str, do: Any, function: Any) -> Any:
    try:
        folder = default_folder()
        key = code_key(function) if folder else None
        return do(Memory(folder), key) if folder and key else None
    except Exception as error:  # a broken disk is no reason to fail a run
        log.debug("Nothing was %s: %s", what, error)
        return None


def default_folder() -> str | None:
    """Where the memory lies, by the environment as it is now; `None`: it is off."""
    asked = os.environ.get("PLAIT_CACHE", "").strip()
    word = asked.lower()
    if word in OFF:
        return None
    if word not in ON:
        return _absolute(os.path.expanduser(asked))
    if os.environ.get("CI", "").strip().lower() not in ("", "0", "false"):
        return None
    if sys.platform == "darwin":
        return _absolute(os.path.expanduser("~/Library/Caches/plait/fit"), relative=False)
    if os.environ.get("HOME", "~").strip() in ("", "/"):  # nobody's home: the root folder is no place for a cache
        return None
    given = os.environ.get("XDG_CACHE_HOME", "")
    caches = given if os.path.isabs(given) else os.path.expanduser("~/.cache")
    return _absolute(os.path.join(caches, "plait", "fit"), relative=False)


def _absolute(path: str, *, relative: bool = True) -> str | None:
    """`None` for a home that nobody knows: a folder called `~` is what nobody wants."""
    if path.startswith("~") or not (relative or os.path.isabs(path)):
        return None
    return os.path.abspath(path)


class Memory:
    """The files of one folder, which is made when something is first put into it.

    Parameters:
        folder: where they lie.
        kept: how many are kept when the oldest are removed.

    **Guarantee**: no method raises an `Exception`. **Concurrency**: safe from any thread and process; it holds nothing.
    """

    __slots__ = ("folder", "kept")

    def __init__(self, folder: str | os.PathLike[str], *, kept: int = KEPT) -> None:
        self.folder, self.kept = os.fspath(folder), kept

    def get(self, key: str) -> Recalled | None:
        """What is kept under a key (`code_key`); `None` where nothing is, or nothing that can be believed."""
        try:
            if not KEY.fullmatch(key) or not _is_ours(os.stat(self.folder), stat.S_ISDIR):
                return None
            data = _read(self._path(key))
            return None if data is None else parse(data, key)
        except FileNotFoundError:  # the usual case
            return None
        except Exception as error:
            log.debug("What was learned of %s cannot be read: %s", key, error)
            return None

    def put(self, key: str, recalled: Recalled) -> bool:
        """Keep it under a key; whether it is kept now."""
        try:
            data = text(recalled, key)
            if not KEY.fullmatch(key) or parse(data, key) is None or not self._made():
                return False
            _write(self._path(key), data)
            if _now_and_then():
                self.prune()
            return True
        except Exception as error:
            log.debug("What was learned of %s cannot be kept: %s", key, error)
            return False

    def prune(self) -> int:
        """Remove the oldest beyond `kept`, the forgotten, and what killed writers left; how many were removed."""
        removed = 0
        try:
            if not _is_ours(os.stat(self.folder), stat.S_ISDIR):
                return 0
            for path in self._superfluous(time.time()):
                try:
                    os.unlink(path)
                    removed += 1
                except FileNotFoundError:  # another process prunes as well
                    pass
        except Exception as error:
            log.debug("Old files of %s cannot be removed: %s", self.folder, error)
        return removed

    def _superfluous(self, now: float) -> list[str]:
        gone, kept = [], []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if not OURS.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                try:
                    written = entry.stat(follow_symlinks=False).st_mtime
                except FileNotFoundError:
                    continue
                unfinished = entry.name.endswith(".tmp")
                if now - written > (UNFINISHED if unfinished else FORGOTTEN):
                    gone.append(entry.path)
                elif not unfinished:
                    kept.append((written, entry.path))
        kept.sort(reverse=True)
        return gone + [path for _, path in kept[self.kept :]]

    def _made(self) -> bool:
        """Whether the folder is there and ours; makes it, readable by nobody else."""
        try:
            return _is_ours(os.stat(self.folder), stat.S_ISDIR)
        except FileNotFoundError:
            if not _may_make(self.folder):
                return False
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            return _is_ours(os.stat(self.folder), stat.S_ISDIR)

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, f"{key}.json")


def _now_and_then() -> bool:
    return os.urandom(1)[0] % 32 == 0


def _may_make(folder: str) -> bool:
    """With `sudo`, the home may still be the user's: root makes no folders there that the user cannot write to."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return True
    above = os.path.dirname(folder)
    while not os.path.exists(above):
        above = os.path.dirname(above)
    return os.stat(above).st_uid == 0


def _is_ours(status: os.stat_result, is_kind: Any) -> bool:
    """Whether nobody else can have written it."""
    if not is_kind(status.st_mode):
        return False
    return sys.platform == "win32" or (status.st_uid == os.geteuid() and not status.st_mode & 0o022)


def _read(path: str) -> bytes | None:
    """The bytes of a file that can be believed. Neither a link is followed nor a pipe waited for."""
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        fresh = time.time() - status.st_mtime <= FORGOTTEN
        if not fresh or not 0 < status.st_size <= READ or not _is_ours(status, stat.S_ISREG):
            return None
        data = os.read(descriptor, READ + 1)
        return data if len(data) <= READ else None
    finally:
        os.close(descriptor)


def _write(path: str, data: bytes) -> None:
    """All at once: written under another name, then renamed. Not synced: a crash of the machine may cost a hint."""
    unfinished = f"{path}.{os.urandom(8).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(unfinished, flags, 0o600)
    try:
        try:
            whole = os.write(descriptor, data) == len(data)
        finally:
            os.close(descriptor)
        if not whole:
            raise OSError("the disk is full")
        os.replace(unfinished, path)
    except BaseException:
        try:
            os.unlink(unfinished)
        except OSError:
            pass
        raise
