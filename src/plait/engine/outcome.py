"""`Outcomes`: what becomes of an attempt that failed, and when failures end the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from plait.engine.figures import Figures
from plait.engine.fuse import stage_of
from plait.engine.outlet import Segment
from plait.engine.pieces import Piece
from plait.engine.rules import Rules
from plait.errors import TooManyFailures, WorkerLost
from plait.events import Event, Hub, ItemFailed, ItemRetried
from plait.failure import Failure, shown
from plait.policy.budget import exhausted
from plait.styles.batch import Raised

__all__ = ["Outcomes", "noted"]


class Outcomes:
    """Decides by the rules of a stage. Called under the lane's lock.

    Parameters:
        draw: a random number from 0 to 1, for the jitter of retries.

    Attributes:
        events: what observers are to be told once the lock is released: they may call back into the run.
    """

    def __init__(self, rules: Rules, figures: Figures, hub: Hub, draw: Callable[[], float]) -> None:
        self.rules, self.figures, self.hub, self.draw = rules, figures, hub, draw
        self.events: list[Event] = []
        self.error: BaseException | None = None
        self._said: dict[int, tuple[BaseException, bool | Exception]] = {}  # of errors: what `on=` says

    def ask(self, failed: Iterable[Raised]) -> None:
        """Have the user's predicate say which errors are worth another attempt. Before the lane's lock is taken.

        It may take any time, and a lock that another thread holds which cancels the run.
        """
        if self.rules.retry.asks:
            for error in [one.error for one in failed]:
                try:
                    self._said[id(error)] = error, self.rules.retry.is_worth(error)
                except Exception as raised:
                    self._said[id(error)] = error, raised

    def forget(self, failed: Iterable[Raised]) -> None:
        """Nobody will ask for these any more."""
        for one in failed if self._said else ():
            self._said.pop(id(one.error), None)

    def again(self, item: Piece, failed: Raised, now: float) -> float | None:
        """Seconds until `item` is tried again, changing it to its next attempt; `None`: it is a failure."""
        if item.since is None:
            item.since = now - failed.seconds
        elapsed = now - item.since
        _, worth = self._said.get(id(failed.error), (None, None))
        try:
            if isinstance(worth, Exception):
                raise worth
            wait = self.rules.retry.wait(item.attempt, failed.error, elapsed, self.draw(), item.waited, worth)
        except Exception as error:  # the user's predicate, or a retry_after that raises
            failed.error.add_note(f"Retry(on=...) was asked whether to try again, and raised {_one_line(error)}")
            wait = None
        if wait is not None and self.rules.deadline is not None and elapsed + wait >= self.rules.deadline:
            wait = None
        if wait is None:
            return None
        self.figures.retries += 1
        if self.hub.wanted:
            stage, said = self.rules.name, _one_line(failed.error)
            self.events.append(ItemRetried(stage=stage, index=item.start, attempt=item.attempt, delay=wait, error=said))
        item.attempt += 1
        item.waited = wait
        return wait

    def failure(self, item: Piece, failed: Raised, *, called: bool = True) -> Segment | None:
        """Settle `item` as a failure; what stands for it among the results: nothing if it ends the run."""
        rules, figures = self.rules, self.figures
        # A crash is a call, but not an attempt; what cannot travel is an attempt that was never a call.
        calls = item.attempt + item.crashes - (isinstance(failed.error, WorkerLost) or not called)
        stage = stage_of(failed.error, rules.name)
        failure = Failure(item.items[0], item.start, stage, calls, failed.error, failed.traceback)
        figures.failures += 1
        figures.kept.append(failure)
        if self.hub.wanted:
            said = _one_line(failed.error)
            self.events.append(ItemFailed(stage=rules.name, index=item.start, attempts=calls, error=said))
        if rules.on_error == "raise":
            self.error = self.error or noted(failure)
            return None  # a gap: nothing behind it is delivered in its place
        return item.start, 1, [failure] if rules.on_error == "return" else []

    def fatal(self, *, ended: bool) -> BaseException | None:
        """What ends the run now, if anything does."""
        if self.error is not None:
            return self.error
        figures, limit = self.figures, self.rules.max_failures
        finished = figures.finished + figures.failures
        if limit is not None and exhausted(figures.failures, finished, limit, ended=ended):
            return TooManyFailures(figures.failures, finished, limit)
        return None


def noted(failure: Failure) -> BaseException:
    """The failure's exception, with notes that name stage, item and attempt, and where it was raised."""
    error = failure.exception
    item = f"item {failure.index}: {shown(failure.item)}"
    note = f"Raised in stage {failure.stage!r} for {item}, attempt {failure.attempts}."
    if not any(note == known for known in getattr(error, "__notes__", ())):
        error.add_note(note)
        if error.__traceback__ is None and failure.traceback:
            error.add_note("Where it was raised:\n" + failure.traceback)
    return error


def _one_line(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}".splitlines()
    except Exception:
        text = []
    return text[0][:300] if text else type(error).__name__
