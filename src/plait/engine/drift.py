"""`Drift`: notices that items which the consumer runs itself take longer than was measured.

A serial run has no thread and no clock of its own: the process's ticker looks at how far the items have come, and
whether the run is in an item or in its source at that moment, rather than waiting for its consumer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Any

from plait.fit.evidence import Evidence
from plait.sync.ticker import ticker

__all__ = ["Drift", "Drifted"]

#: Seconds between two looks; what must have been spent on items before they are judged; times as long is another item.
LOOK, JUDGED, SLOWER = 0.025, 0.1, 3.0


class Drifted(Exception):
    """Not an error: the run is to go on otherwise. `unread` are items that were taken from the source already."""

    def __init__(self) -> None:
        self.unread: list[Any] = []


class Drift:
    """Watches an inline run inside a `with`.

    Parameters:
        run: the generator that runs the items.
        pairs: its items, numbered.
        halt: what the run looks at between two items: `Drifted` in it ends the run there.
    """

    def __init__(
        self, run: Generator[Any, None, None], pairs: enumerate[Any], evidence: Evidence, halt: list[BaseException]
    ) -> None:
        self._run, self._halt, self._pairs = run, halt, pairs
        self._each = max(evidence.seconds_mean + evidence.source, 1e-7)
        self._began, self._inside = -1, 0.0
        #: Seconds, in steps of a look, for which the consumer was busy with results.
        self.outside = 0.0
        self._found: Drifted | None = None
        self._off: Callable[[], None] = lambda: None

    @property
    def found(self) -> bool:
        """Whether the run has ended for it."""
        return self._found is not None and bool(self._found.unread)

    def forget(self) -> None:
        """The run goes on: what ended it here is over."""
        if self._found in self._halt:
            self._halt.remove(self._found)

    def rest(self) -> Iterator[Any]:
        """The items that are left."""
        assert self._found is not None
        return itertools.chain(self._found.unread, (item for _, item in self._pairs))

    def _look(self) -> None:
        if self._found is not None:
            return
        done: Any = self._pairs.__reduce__()[1][1]  # the next index: read without costing the run anything
        if self._began < 0:
            self._began = done
        running = bool(getattr(self._run, "gi_running", False))
        self._inside += LOOK * running
        self.outside += LOOK * (not running)
        if self._inside < JUDGED:
            return
        if (done - self._began) * self._each * SLOWER < self._inside:
            self._found = Drifted()
            self._halt.append(self._found)
        self._began, self._inside = done, 0.0

    def __enter__(self) -> Drift:
        self._off = ticker().every(LOOK, self._look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._off()
