"""The file of a journal: what tells it from others, its tables, and the connections to it.

    about    codec                                       one row
    stages   position, name, fingerprint, options        one row a stage
    groups   stage, keys, results, crc                   one row for what was put together: 16 bytes a key; results as
                                                         a MessagePack array of what the codec made; its CRC-32

`groups` is only ever appended to, a few times for each 10 ms however many items there are: an index by key would cost
more than all the rest, and a rerun finds what it looks for without one (`Recorded`).
"""

from __future__ import annotations

import os
import sqlite3
import stat
from urllib.parse import quote

from plait.errors import JournalError
from plait.journal.mishap import damaged, told

__all__ = ["check", "connect", "prepare"]

#: "Plai" in the header of the file, and the version of its tables.
APPLICATION, SCHEMA = 0x506C6169, 1

#: Seconds for which a lock of another program is waited for when the file is opened.
PATIENCE = 5.0

_TABLES = """
CREATE TABLE about (codec TEXT NOT NULL);
CREATE TABLE stages (
    id INTEGER PRIMARY KEY, position INTEGER NOT NULL, name TEXT NOT NULL, fingerprint TEXT NOT NULL,
    options TEXT NOT NULL, UNIQUE (position, name));
CREATE TABLE groups (
    id INTEGER PRIMARY KEY, stage INTEGER NOT NULL, keys BLOB NOT NULL, results BLOB NOT NULL, crc INTEGER NOT NULL);
"""


def check(path: str) -> bool:
    """Whether there is a journal at `path` already; it is only read.

    Raises:
        JournalError: what is there is something else, is damaged or of a newer version, or cannot be written.
    """
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise JournalError(path, f"there is no folder {folder}", f"Make it first: mkdir -p {folder}")
    try:
        status = os.stat(path)
    except FileNotFoundError:
        _may_write(path, folder)
        return False
    except OSError as error:
        raise told(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise _not_ours(path, "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file")
    _may_write(path, path, folder)
    if status.st_size == 0:
        return False
    try:
        # Reading alone would leave new -wal and -shm files; with old ones there, writing would settle them.
        connection = _connection(path, "ro" if os.path.exists(path + "-wal") else "rw", PATIENCE)
        try:
            return _is_journal(connection, path)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise _not_ours(path, "another kind of file") from error
        raise told(path, error) from error


def connect(path: str, patience: float | None = None) -> sqlite3.Connection:
    """A connection to the journal at `path`, for one thread at a time.

    Parameters:
        patience: seconds for which a lock of another program is waited for; `None`: `PATIENCE`.
    """
    connection = _connection(path, "rwc", PATIENCE if patience is None else patience)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # `Writer` sees to it
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, path: str, codec: str) -> None:
    """Make the tables where there are none, and see that the results are kept in the form that is asked for."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_journal(connection, path):
            for statement in _TABLES.split(";")[:-1]:
                connection.execute(statement)
            connection.execute("INSERT INTO about VALUES (?)", (codec,))
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("PRAGMA journal_mode = WAL")
    recorded = connection.execute("SELECT codec FROM about").fetchone()
    if recorded is None:
        raise damaged(path, "it does not say in which form its results are")
    if recorded[0] != codec:
        raise JournalError(
            path,
            f"its results are kept as {recorded[0]}, and this run asks for {codec}",
            _other_codec(path, str(recorded[0])),
        )


def _other_codec(path: str, recorded: str) -> str:
    again = f"journal=plait.Journal({path!r}, codec={recorded!r})"
    if recorded == "pickle":
        return f"If you trust who wrote it (reading a pickle runs code), pass {again}; else name another file."
    return f"Pass {again}, or name another file."


def _connection(path: str, mode: str, patience: float) -> sqlite3.Connection:
    # A plain path would let SQLite take some names for something else; isolation_level=None: no transaction but ours.
    return sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode={mode}",
        uri=True,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
    )


def _is_journal(connection: sqlite3.Connection, path: str) -> bool:
    """Whether it is one; `False` where nothing is in it, as when a run was killed while it made one."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application == APPLICATION:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise JournalError(
                path,
                f"it was written by a newer Plait (version {version} of its tables; this one knows {SCHEMA})",
                "Upgrade Plait, or name another file.",
            )
        return True
    if application == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return False
    raise _not_ours(path, "an SQLite database of another program")


def _not_ours(path: str, what: str) -> JournalError:
    return JournalError(path, f"it is not a journal of Plait, but {what}", "It was not touched: name another file.")


def _may_write(path: str, *needed: str) -> None:
    for one in needed:
        if not os.access(one, os.W_OK):
            what = "it" if one == path else f"the folder {one}"
            raise JournalError(path, f"{what} cannot be written", "Name a file in a folder that you may write to.")
