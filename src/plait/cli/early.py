"""A command that ends before its time: the words for why, and the exit code."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from plait.cli.codes import INTERRUPTED, MISUSED, PIPE_CLOSED, SOME_FAILED
from plait.cli.delivery import FirstFailure
from plait.cli.flags import in_flags
from plait.errors import PlaitError, TooManyFailures

__all__ = ["early", "printing", "say", "warnings_in_words"]


def say(what: object) -> None:
    """Say it on standard error, as of Plait."""
    print(f"plait: {in_flags(what)}", file=sys.stderr)


def early(error: BaseException, interrupted: int | None, named: str) -> int:
    """Say why a command ended early; the exit code for that.

    Parameters:
        interrupted: the code of the signal that came, if one did.
        named: what an error of the operating system that names no file is put down to.

    Raises:
        BaseException: `error`, if nobody but its traceback can say what it means.
    """
    # An interrupt may come at any instruction: what cleaning up had to say of that is not the news.
    if interrupted is not None or isinstance(error, KeyboardInterrupt):
        say("Interrupted.")
        return interrupted or INTERRUPTED
    match error:
        case FirstFailure() | TooManyFailures():
            say(error)
            return SOME_FAILED
        case BrokenPipeError():
            return PIPE_CLOSED
        case PlaitError():
            say(error)
            return MISUSED
        case OSError():
            say(f"{error.filename or named}: {error.strerror or error}.")
            return MISUSED
    raise error


@contextmanager
def printing() -> Iterator[None]:
    """While entered, what cannot be printed is put down to standard output; one that was closed takes everything.

    Raises:
        OSError: it cannot be written to.
    """
    if sys.stdout is None:
        sys.stdout = io.StringIO()
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        sys.stdout = None  # else the interpreter complains when it flushes it
        raise OSError(error.errno, error.strerror, "standard output") from None


@contextmanager
def warnings_in_words() -> Iterator[None]:
    """While entered, warnings of Plait's own are said without the place in its code from which they came."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **further: Any) -> None:
        if issubclass(category, PlaitError):
            say(message)
        else:
            before(message, category, *place, **further)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before
