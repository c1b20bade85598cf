"""Where results and failures of a command go: the output, and a list of failures beside it."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import IO, Any

from plait.cli.outputs import Nowhere
from plait.errors import PlaitError, TooManyFailures
from plait.failure import Failure
from plait.surface import write
from plait.surface.encode import json_bytes

__all__ = ["Delivery", "FirstFailure", "claim_stdout", "counted"]

#: Without a file for them, so many failures are told on standard error.
TOLD = 20


class FirstFailure(PlaitError):
    """An item failed, and `--on-error raise` ends the run there."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(f"{failure}\n{failure.traceback.rstrip()}".rstrip())


def claim_stdout() -> IO[bytes]:
    """Standard output for results alone: what functions print, also in workers, goes to standard error instead."""
    try:
        results = os.dup(sys.stdout.fileno())
        sys.stdout.flush()
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    except (OSError, AttributeError, ValueError):  # streams that are no files
        return sys.stdout.buffer
    return open(results, "wb")


class Delivery:
    """A context manager that takes results and failures in the order in which they come.

    Parameters:
        out: the writer of the results.
        beside: where failures are listed; `None`: the first ones are told on standard error.
        on_error: `"skip"`: failures are only listed; `"return"`: a row stands for them in the output, too; `"raise"`:
            the first ends the run, by `FirstFailure`.
        ordered: results come in the order of the items, so that a row that cannot be written can be told by its item.
    """

    def __init__(self, out: write.Writer | Nowhere, beside: str | None, *, on_error: str, ordered: bool) -> None:
        self.out, self.beside = out, beside
        self.failures = 0
        #: Failures beyond those, of which no more is known.
        self.missed = 0
        #: How many items are done with, one way or the other.
        self.taken = 0
        self._on_error = on_error
        self._ahead: deque[Any] | None = deque() if ordered else None
        self._list: write.Writer | None = None
        self._listing = threading.Lock()

    def watch(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, remembered from here until their result is taken."""
        if self._ahead is None:
            yield from items
            return
        for item in items:
            self._ahead.append(item)
            yield item

    def take(self, result: Any) -> None:
        """Deliver what became of one item."""
        item = self._ahead.popleft() if self._ahead else None
        index, self.taken = self.taken, self.taken + 1
        if isinstance(result, Failure):
            self.stand_in(result)
            self.failed(result)
            return
        try:
            self.out.write(result)
        except write.RowRejected as error:
            known = self._ahead is not None
            self.failed(Failure(item if known else result, index if known else -1, "write", 1, error, ""))

    def stand_in(self, failure: Failure) -> None:
        """Write the row that stands for a failure, if there is to be one."""
        if self._on_error == "return":
            self.out.write({"failure": told(failure)})

    def failed(self, failure: Failure) -> None:
        """List a failure. From any thread."""
        with self._listing:
            self.failures += 1
            self._list_or_tell(failure)
        if self._on_error == "raise":
            raise FirstFailure(failure)

    def _list_or_tell(self, failure: Failure) -> None:
        if self.beside is None:
            if self.failures <= TOLD and self._on_error != "raise":
                print(failure, file=sys.stderr)
            if self.failures == TOLD:
                print("Further failures are not told; --failures FILE keeps them all.", file=sys.stderr)
        else:
            if self._list is None:
                listed = write.jsonl(self.beside)
                listed.__enter__()
                self._list = listed
            self._list.write(told(failure))
            self._list.flush()

    def __enter__(self) -> Delivery:
        self.out.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if isinstance(error, BrokenPipeError):
            self.out.discard()
        try:
            self.out.__exit__(kind, error, tb)
        except BaseException as late:
            kind, error = type(late), late
            raise
        finally:
            self._close_list(kind, error)

    def _close_list(self, kind: type[BaseException] | None, error: BaseException | None) -> None:
        if self._list is not None:
            # A run that ended because of its failures has a complete list of them.
            ended = kind is None or issubclass(kind, (FirstFailure, TooManyFailures))
            self._list.__exit__(None if ended else kind, None if ended else error, None)

    def kept(self) -> str:
        """What of a run that ended early lies where, in a sentence."""
        rows, verb = counted(self.out.rows, "result"), "is" if self.out.rows == 1 else "are"
        said = f"{rows} {verb} in {self.out.partial or 'standard output'}"
        if isinstance(self.out, Nowhere):
            said = f"{rows} came, of which none is kept"
        elif not self.out.rows:
            said = "No result was delivered"
        if self._list is not None and self._list.partial is not None:
            there = self._list.partial if os.path.exists(self._list.partial) else self._list.path
            said += f"; {counted(self.failures, 'item')} failed, listed in {there}"
        return said + "."


def counted(count: int, what: str) -> str:
    """`"1 item"`, `"2,000 items"`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def told(failure: Failure) -> dict[str, Any]:
    """A failure as JSON can hold it: an item that has no JSON form is shown as text."""
    try:
        json_bytes(failure.item)
        item = failure.item
    except (TypeError, ValueError):
        item = repr(failure.item)
    return {
        "index": failure.index if failure.index >= 0 else None,
        "item": item,
        "stage": failure.stage,
        "attempts": failure.attempts,
        "error": f"{type(failure.exception).__name__}: {failure.exception}",
        "traceback": failure.traceback,
    }
