"""What a flow is made of while it runs: its stages, and the links between them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from plait.engine.admission import Admission
from plait.engine.drive import Drive
from plait.engine.regroup import Regroup, Writing, Written, flatten
from plait.engine.rules import Rules
from plait.fit.codehash import code_key
from plait.journal.journal import Journal

__all__ = ["Link", "Stage", "open_book", "same"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One function of a flow.

    Parameters:
        spread: its results are iterables, whose members are the stage's results.
        after: what its results go through before the next stage.
    """

    function: Callable[[Any], Any]
    rules: Rules
    is_async: bool
    spread: bool = False
    after: tuple[Regroup, ...] = ()


@dataclass(slots=True)
class Link:
    """What a stage reads: the flow's source, or the results of the stage before."""

    source: Any
    drive: Drive | None = None
    stage: Stage | None = None
    after: tuple[Regroup, ...] = ()
    total: int | None = None
    opened: list[Any] = field(default_factory=list)
    sinks: list[Writing] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        results: Iterator[Any] = self.drive.results() if self.drive is not None else iter(self.source)
        self.opened.append(results)
        if self.stage is not None and self.stage.spread:
            failures = self.stage.rules.on_error == "return" or (
                self.drive is not None and self.drive.lane.admission is not None
            )
            results = flatten(results) if failures else itertools.chain.from_iterable(results)
        for regroup in self.after:
            if isinstance(regroup, Written):
                regroup = Writing(regroup.sink)  # of this run
                self.sinks.append(regroup)
            results = regroup(results)
            self.opened.append(results)
        return results

    def __len__(self) -> int:
        if self.total is None:
            raise TypeError("it is not known how many there will be")
        return self.total


class _Keyed:
    """Pages whose items are known by what the user's `journal_key` says of them."""

    def __init__(self, pages: Any, key: Callable[[Any], Any]) -> None:
        self._pages, self._key = pages, key
        self.take, self.put = pages.take, pages.put

    def unchanged(self, item: Any, key: bytes) -> None:
        """See to it that the user says the same of `item` as before."""
        self._pages.unchanged(self._key(item), key)

    def key(self, item: Any) -> bytes:
        """The key of what the user says of it."""
        key: bytes = self._pages.key(self._key(item))
        return key


def open_book(journal: Journal, stages: Sequence[Stage], drives: Sequence[Drive]) -> Any:
    """Let every stage remember its results, and know those of before.

    Raises:
        JournalError: the journal cannot be used.
    """
    from plait.journal.book import Book  # brings sqlite3

    book = Book.open(journal)
    try:
        for at, (stage, drive) in enumerate(zip(stages, drives, strict=True)):
            known, keyed = drive.lane.admission, stage.rules.journal_key
            pages = book.stage(stage.rules.name, at, code_key(stage.function) or "", _options(stage.rules))
            passes, item = known is not None and known.passes, getattr(stage.function, "__plait_returns_item__", False)
            remembered = _Keyed(pages, keyed) if keyed else pages
            drive.lane.admits(Admission(passes, remembered, returns_item=item, spread=stage.spread))
    except BaseException:
        book.close()
        raise
    return book


def same(item: Any) -> Any:
    """The item."""
    return item


def _options(rules: Rules) -> str:
    """The options that change what results are."""
    return f"on_error={rules.on_error}" if rules.on_error != "raise" else ""
