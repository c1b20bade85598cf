"""`View`: what there is to show of a run at one moment: its stages with their rates, and which holds up the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from plait.watch.pace import Pace, clock, per_second
from plait.watch.standing import Standing

__all__ = ["Row", "View"]


@dataclass(frozen=True, slots=True)
class Row:
    """A stage and its pace.

    Parameters:
        rate: items a second: of the last seconds, or of all of them once it is over.
        left: seconds until its end at this rate; `None` where nobody knows.
    """

    at: Standing
    rate: float
    left: float | None

    def count(self, of: str) -> str:
        """How much is done: `"1,234/2,000"` where `of` is `"/"`."""
        return f"{self.at.finished:,}" + (f"{of}{self.at.total:,}" if self.at.total is not None else "")

    def troubles(self) -> list[tuple[str, str]]:
        """What went wrong so far, with the colour to say it in."""
        said = [
            (self.at.failures, "failed", "red"),
            (self.at.retries, "retried", "yellow"),
            (self.at.crashes, "crashed", "red"),
        ]
        return [(f"{count:,} {word}", colour) for count, word, colour in said if count]


class View:
    """Looks at a run as often as somebody wants to show it. **Concurrency** one thread at a time.

    Parameters:
        look: where the stages stand now.
        slowest: which of them holds up the others: a stage's name, `"source"`, `"consumer"` or nothing.
        total: how many items the source has, if that is known better than the run knows it.
        began: when the run did, by the clock of the `now` that the methods take.
    """

    def __init__(
        self,
        look: Callable[[], Sequence[Standing]],
        slowest: Callable[[], str],
        total: int | None,
        began: float,
    ) -> None:
        self._look, self._slowest, self.total, self.began = look, slowest, total, began
        #: The run has come to its end.
        self.done = False
        self._paces: dict[str, Pace] = {}

    def seconds(self, now: float) -> float:
        """How long the run has been going on."""
        return now - self.began

    def rows(self, now: float) -> list[Row]:
        """Its stages, from the first to the last; at least one."""
        found = list(self._look()) or [Standing("")]
        if self.total is not None:
            found[0] = replace(found[0], total=self.total)
        return [self._row(at, now) for at in found]

    def _row(self, at: Standing, now: float) -> Row:
        rate = self._paces.setdefault(at.stage, Pace(self.began)).rate(now, at.finished)
        if self.done or at.ended:
            rate = at.finished / max(1e-9, at.seconds or self.seconds(now))
        if self.done and at.total is not None:
            at = replace(at, total=at.finished)  # an estimated total ends as the true one
        over = self.done or at.ended or at.total is None or rate <= 0
        return Row(at, rate, None if over else max(0, (at.total or 0) - at.finished) / rate)

    @property
    def slowest(self) -> str:
        """Which stage, or end, holds up the others; empty while nobody can tell."""
        return self._slowest()

    def words(self, now: float) -> str:
        """All of it on one line of plain text."""
        rows, gone = self.rows(now), f"{clock(self.seconds(now))} gone"
        if len(rows) == 1:
            (row,) = rows
            parts = [row.count(" of ") + " items", per_second(row.rate), gone, *_more(row)]
            return f"{row.at.stage or 'plait'}: {', '.join(parts)}"
        slowest = self.slowest
        stages = [
            ", ".join([f"{row.at.stage} {row.count(' of ')}", per_second(row.rate), *_more(row)])
            + (" (bottleneck)" if row.at.stage == slowest else "")
            for row in rows
        ]
        held = f"; the {slowest} is the bottleneck" if slowest in ("source", "consumer") else ""
        return f"plait: {gone}; {'; '.join(stages)}{held}"


def _more(row: Row) -> list[str]:
    left = [f"{clock(row.left)} left"] if row.left is not None else []
    model = [row.at.model] if row.at.model else []
    return left + model + [text for text, _ in row.troubles()]
