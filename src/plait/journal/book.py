"""`Book`: a journal file, open for one run.

    Book.open -> Lock -> file -> stage -> Pages: key -> take (Replay) or run, then put (Writer) -> close

One connection reads and makes stages, one writes, one settles. The threads of the last two live as long as the book.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import sqlite3
import threading
import warnings
from types import TracebackType

from plait.errors import JournalChanged, JournalError
from plait.journal.codecs import codec_of
from plait.journal.file import check, connect, prepare
from plait.journal.journal import Journal
from plait.journal.lock import Lock
from plait.journal.mishap import told
from plait.journal.pages import Pages
from plait.journal.replay import Replay
from plait.journal.settler import Settler
from plait.journal.writer import Writer

__all__ = ["Book"]

log = logging.getLogger("plait")


class Book:
    """An open journal: made by `Book.open`, ended by `close` (or as a context manager).

    **Guarantee**: what was put is there after `close`, and a few milliseconds after the put if the process is killed
    (`kill -9` included; tens of milliseconds when threads that compute keep the GIL from the writer). The file is never
    left in between: a group of results is in it wholly or not at all. A power cut or a crash of the machine may cost
    what was put since the last checkpoint (there is one for each megabyte or so, and one at the end), but does not
    damage what is there.

    **Concurrency**: safe from any thread. A forked child must not use it, and is told so.

    **Caution**: SQLite's WAL wants a local file system.
    """

    def __init__(self, journal: Journal, path: str) -> None:
        self.path = path
        self._codec = codec_of(journal.codec)
        self._pid = os.getpid()
        self._closing, self._closed = threading.Lock(), False
        self._reading = threading.Lock()
        self._pages: dict[tuple[int, str], Pages] = {}
        check(path)
        self._held = Lock(path)
        self._connections: list[sqlite3.Connection] = []
        try:
            # The one for reading first: closed last, it leaves one file where there were three.
            self._reader = self._connect()
            prepare(self._reader, path, journal.codec)
            self._settler = Settler(self._connect())
            self._writer = Writer(path, self._connect(0.5), self._settler)
        except BaseException as error:
            self._release()
            if isinstance(error, sqlite3.Error):
                raise told(path, error) from error
            raise
        _open.add(self)

    @classmethod
    def open(cls, journal: Journal) -> Book:
        """Open the file that `journal` names, made when it is not there.

        Raises:
            JournalBusy: another run uses it.
            JournalError: it is no journal, is kept in another form, is damaged, newer than this Plait, locked by
                another program, or cannot be written.
        """
        return cls(journal, os.path.realpath(os.path.expanduser(os.fspath(journal.path))))

    def stage(self, name: str, position: int, fingerprint: str, options: str) -> Pages:
        """The pages of one stage, the one with this name and position.

        Parameters:
            name: the stage's name.
            position: its place in the flow, from 0.
            fingerprint: a hash of its function's code.
            options: its options, as text for the reader of a warning.

        Warns:
            JournalChanged: what is recorded was recorded with other code or options. It is said once: the new ones are
                recorded.
        """
        self._writer.check()
        with self._closing:
            if (position, name) not in self._pages:
                with self._reading:
                    self._pages[position, name] = self._stage(name, position, fingerprint, options)
            return self._pages[position, name]

    def close(self) -> None:
        """Commit what was put, and let the next run have the file. Does nothing the second time.

        Raises:
            JournalError: not everything that was put could be recorded.
        """
        if self._pid != os.getpid():
            return
        with self._closing:
            if self._closed:
                return
            self._writer.close()
            self._settler.close()
            self._closed = True
            _open.discard(self)
            self._release()
        if self._writer.failure is not None:
            raise told(self.path, self._writer.failure) from self._writer.failure

    def __enter__(self) -> Book:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _stage(self, name: str, position: int, fingerprint: str, options: str) -> Pages:
        try:
            stage = self._known(name, position, fingerprint, options)
            replay = Replay(self.path, self._reader, self._reading, stage)
            return Pages(self.path, stage, self._codec, self._writer, replay)
        except sqlite3.Error as error:
            raise told(self.path, error) from error

    def _known(self, name: str, position: int, fingerprint: str, options: str) -> int:
        known = self._reader.execute(
            "SELECT id, fingerprint, options FROM stages WHERE position = ? AND name = ?", (position, name)
        ).fetchall()
        if not known:
            made = self._reader.execute(
                "INSERT INTO stages (position, name, fingerprint, options) VALUES (?, ?, ?, ?)",
                (position, name, fingerprint, options),
            )
            return int(made.lastrowid or 0)
        stage, code, settings = known[0]
        changed = [] if code == fingerprint else ["its function's code is another"]
        if settings != options:
            changed.append(f"its options were {settings or 'none'} and are {options or 'none'}")
        if changed:
            warnings.warn(JournalChanged(self.path, name, " and ".join(changed)), stacklevel=4)
            self._reader.execute(
                "UPDATE stages SET fingerprint = ?, options = ? WHERE id = ?", (fingerprint, options, stage)
            )
        return int(stage)

    def _connect(self, patience: float | None = None) -> sqlite3.Connection:
        connection = connect(self.path, patience)
        self._connections.append(connection)
        return connection

    def _release(self) -> None:
        with self._reading:
            for connection in reversed(self._connections):
                try:
                    connection.close()
                except sqlite3.Error:  # what is committed is in the WAL, and found there by the next to open it
                    pass
        self._held.release()

    def _forked(self) -> None:
        """In a child: let go of the lock's file, and never close the connections: SQLite forbids it."""
        self._held.release()
        for connection in self._connections:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


#: Those that a fork has to be kept from, and that end with the process at the latest.
_open: set[Book] = set()


def _close_all() -> None:
    for book in list(_open):
        try:
            book.close()
        except JournalError as error:
            log.warning("%s", error)


def _forked() -> None:
    for book in list(_open):
        book._forked()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
