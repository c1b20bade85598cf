"""Opening a store by its URL."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from plait.errors import MissingExtra, OptionError
from plait.jobs.store import Store

__all__ = ["checked_url", "open_store", "share_store", "shared_store", "sharing", "shown_url"]

_WANTS = 'it takes "sqlite:///FILE", "postgresql://USER@HOST/DATABASE" or "memory://"'
_shared: dict[tuple[int, str], Store] = {}
_lock = threading.Lock()


def checked_url(url: object) -> str:
    """The URL, a relative path in it made absolute: processes that are started elsewhere must find the same file.

    Raises:
        OptionError: it is none of those that are known.
    """
    if not isinstance(url, str):
        raise OptionError("url", url, _WANTS)
    scheme, found, rest = url.partition("://")
    if scheme == "sqlite" and "?" in rest:
        raise OptionError("url", shown_url(url), "a SQLite file's URL has no parameters: sqlite:///FILE is all of it")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1 and rest[1:] != ":memory:":
        return f"sqlite:///{os.path.abspath(rest[1:])}"
    if scheme in ("postgresql", "postgres") and rest:
        return url
    if scheme == "memory" and found:
        return url
    hint = "; for a SQLite file: three slashes, and its path" if scheme.startswith("sqlite") else ""
    raise OptionError("url", shown_url(url), _WANTS + hint)


def shown_url(url: str) -> str:
    """The URL as people may see it: without passwords."""
    url = re.sub(r"(://[^:/?@]*):[^/?]*@", r"\1@", url)
    return re.sub(r"([?&])(ssl)?password=[^&]*(&|$)", lambda found: found[1] if found[3] else "", url)


def open_store(url: str) -> Store:
    """A store of its own for whoever asks.

    Raises:
        OptionError: the URL is none that is known. MissingExtra: its driver is not installed.
        StoreError: it cannot be opened.
    """
    url = checked_url(url)
    if url.startswith("sqlite"):
        with _needing("apsw", "Jobs in a SQLite file", "jobs"):
            from plait.jobs.sqlite.store import SqliteStore
        return SqliteStore(url.removeprefix("sqlite:///"))
    if url.startswith("memory"):
        from plait.jobs.memory.store import MemoryStore

        return MemoryStore()
    with _needing("psycopg", "Jobs in PostgreSQL", "postgres"):
        from plait.jobs.postgres.store import PostgresStore
    return PostgresStore(url)


@contextmanager
def _needing(driver: str, what: str, extra: str) -> Iterator[None]:
    """Say which extra is to be installed, whichever of a store's modules asks for its driver first."""
    try:
        yield
    except ImportError as error:  # psycopg without its library names no module
        if isinstance(error, MissingExtra) or (error.name or driver).partition(".")[0] != driver:
            raise
        raise MissingExtra(what, driver, extra) from error


def share_store(url: str, store: Store) -> None:
    """Have `shared_store` of this process find `store`."""
    with _lock:
        _shared[os.getpid(), url] = store


@contextmanager
def sharing(urls: Iterable[str], store: Store) -> Iterator[None]:
    """The same, and no longer than the block."""
    keys = [(os.getpid(), url) for url in urls]
    with _lock:
        before = {key: _shared[key] for key in keys if key in _shared}
        _shared.update(dict.fromkeys(keys, store))
    try:
        yield
    finally:
        with _lock:
            for key in keys:
                _shared.pop(key, None)
            _shared.update(before)


def shared_store(url: str) -> Store:
    """The store of this process, opened when it is first asked for."""
    with _lock:
        store = _shared.get((os.getpid(), url))
        if store is None:
            store = _shared[os.getpid(), url] = open_store(url)
        return store
