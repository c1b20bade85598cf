"""The journal of a command: where it lies, when it begins anew and when it goes, and how to go on from it."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from dataclasses import dataclass

import plait
from plait.cli.flags import FlagError
from plait.cli.outputs import is_file
from plait.errors import JournalError

__all__ = ["Journaling"]

#: What of a journal may lie on the disk. The lock goes last: as long as it is held, nobody else makes the others.
PARTS = ("-wal", "-shm", "", ".lock")


@dataclass(frozen=True, kw_only=True)
class Journaling:
    """What the command line says of it.

    Parameters:
        journal: the file; `None`: beside `output`, where it goes when the run is complete.
        resume, restart: keep one; begin it anew.
        output: where results go.
    """

    journal: str | None
    resume: bool
    restart: bool
    codec: str
    output: str | None

    @property
    def path(self) -> str | None:
        """Where the journal lies; `None`: the run keeps none.

        Raises:
            FlagError: one is asked for, and nothing tells where.
        """
        if self.journal is not None:
            return os.path.expanduser(self.journal)
        if not (self.resume or self.restart):
            return None
        if not is_file(self.output):
            asked = "--resume" if self.resume else "--restart"
            raise FlagError(asked, "has no file to keep the journal beside", "give -o OUT, or --journal FILE")
        return f"{self.output}.journal"

    @property
    def exists(self) -> bool:
        """Whether there is one to go on from."""
        return self.path is not None and os.path.exists(self.path)

    def option(self) -> plait.Journal | None:
        """What `plait.map` gets."""
        return None if self.path is None else plait.Journal(self.path, codec=self.codec)

    def ready(self) -> None:
        """See that it can be used, before anything else is touched; throw away what it holds if that is asked for.

        Raises:
            JournalError: it is no journal; or (JournalBusy) another run uses it.
        """
        if self.path is not None and os.path.lexists(self.path):
            _look(self.path, discard=self.restart)

    def completed(self) -> None:
        """Everything is done: a journal beside the output has nothing left to tell."""
        if self.path is not None and self.journal is None:
            with contextlib.suppress(JournalError):  # the next run will say so
                _look(self.path, discard=True)

    def again(self) -> str:
        """The command that goes on from the journal."""
        words = [word for word in sys.argv[1:] if word != "--restart"]
        return shlex.join(["plait", *words, *([] if self.resume or self.journal is not None else ["--resume"])])

    def go_on(self, source: str | None) -> str:
        """What to do after a run that ended early.

        Parameters:
            source: the file that the items came from, where there is one.
        """
        if self.path is None:
            return "It kept no journal: only a run with --resume can be gone on with."
        return f"Go on with{' the same input and' if source == '-' else ''}: {self.again()}"


def _look(path: str, *, discard: bool) -> None:
    """See that there is a journal at `path`, and that nobody uses it; perhaps remove it."""
    from plait.journal.file import check
    from plait.journal.lock import Lock

    path = os.path.realpath(path)
    check(path)
    lock = Lock(path)
    try:
        if discard:
            for part in PARTS:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path + part)
    finally:
        lock.release()
