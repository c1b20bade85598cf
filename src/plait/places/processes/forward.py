"""Log records and warnings of a worker, on their way to the parent's loggers and filters."""

from __future__ import annotations

import contextlib
import logging
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from plait.places.processes.wire import Kind

__all__ = ["Forwarding", "handle_log", "handle_warning"]


class Forwarding(logging.Handler):
    """The root logger's only handler in a worker; takes over `warnings.showwarning` as well."""

    def __init__(self, send: Callable[..., None]) -> None:
        super().__init__()
        self._send = send
        self._shown = warnings.showwarning
        self._set: set[str] = set()
        logging.root.handlers[:] = [self]
        warnings.showwarning = self._warn
        warnings.simplefilter("default")
        # A function that forks is not to be warned of a thread that is ours (and does nothing that a fork would harm).
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)

    def stop(self) -> None:
        """In a child that the user's function forked: its records are shown, not sent."""
        logging.root.handlers[:] = [logging.StreamHandler()]
        warnings.showwarning = self._shown

    def take_levels(self, levels: dict[str, int]) -> None:
        """Take over the parent's levels, so that records which nobody wants are never made."""
        for name in self._set - set(levels):  # of an earlier run
            logging.getLogger(name).setLevel(logging.NOTSET)
        self._set = {name for name in levels if name}
        for name, level in levels.items():
            logging.getLogger(name or None).setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            parts = dict(record.__dict__)
            parts["msg"], parts["args"] = record.getMessage(), None
            if record.exc_info:
                parts["exc_text"] = record.exc_text or logging.Formatter().formatException(record.exc_info)
                parts["exc_info"] = None
            try:
                body = pickle.dumps(parts, 5)
            except Exception:
                body = pickle.dumps(
                    {k: v if isinstance(v, int | float | str | None) else repr(v) for k, v in parts.items()}, 5
                )
            self._send(Kind.LOG, body=body)
        except Exception:
            self.handleError(record)

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: Any = None,
    ) -> None:
        try:
            body = pickle.dumps((str(message), category, filename, lineno), 5)
        except Exception:
            body = pickle.dumps((str(message), UserWarning, filename, lineno), 5)
        self._send(Kind.WARNING, body=body)


def handle_log(body: bytes) -> None:
    """Give a worker's record to the logger of the same name here."""
    try:
        record = logging.makeLogRecord(pickle.loads(body))
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
    except BaseException:  # a handler of this process: no worker's fault, and nobody here to raise to
        _complain("log record")


def handle_warning(body: bytes) -> None:
    """Show a worker's warning here, as this process's filters say."""
    try:
        message, category, filename, lineno = pickle.loads(body)
        warnings.warn_explicit(message, category, filename, lineno)
    except Warning as error:  # the filters turn it into an error, which has nobody to go to in this thread
        logging.getLogger("plait").warning("A worker warned: %s", error)
    except BaseException:
        _complain("warning")


def _complain(what: str) -> None:
    with contextlib.suppress(Exception):
        sys.stderr.write(f"plait: a {what} of a worker could not be handled:\n")
        traceback.print_exc()
