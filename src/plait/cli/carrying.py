"""`Carrying`: what `plait map` and `plait run` share: a run from its arguments to its exit code."""

from __future__ import annotations

import abc
import contextlib
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, Any

from plait.cli.apart import check_apart
from plait.cli.codes import DONE, PIPE_CLOSED, SOME_FAILED
from plait.cli.delivery import Delivery, claim_stdout, counted
from plait.cli.early import early, warnings_in_words
from plait.cli.flags import in_flags
from plait.cli.interrupts import Interrupts
from plait.cli.journaling import Journaling
from plait.cli.outputs import beside
from plait.cli.watching import watched
from plait.errors import JournalError, PlaitError

__all__ = ["Carrying", "Errand"]


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A run that is to be, and where its results go.

    Parameters:
        run: makes it; called once.
        total: about how many items there are.
        gathering: entered with the run around all of it.
    """

    run: Callable[[], Any]
    delivery: Delivery
    total: int | None
    gathering: Callable[[Any], AbstractContextManager[object]] = contextlib.nullcontext


@dataclass(frozen=True, kw_only=True)
class Carrying(abc.ABC):
    """Arguments of the command, as given, and what becomes of them."""

    target: str
    output: str | None
    output_format: str | None
    failures: str | None
    journal: str | None
    resume: bool
    restart: bool
    journal_codec: str
    first: int | None
    dry_run: bool
    progress: bool | None
    quiet: bool

    @abc.abstractmethod
    def errand(self) -> Errand:
        """Look whether everything is there, and say what is to be run; nothing is touched yet.

        Raises:
            PlaitError: something is not.
        """

    @abc.abstractmethod
    def told(self) -> None:
        """Show what would be run.

        Raises:
            PlaitError: as `errand`.
        """

    @property
    def source_path(self) -> str | None:
        """The file that the items come from, where there is one."""
        return None

    @property
    def journaling(self) -> Journaling:
        """What the flags say of a journal."""
        return Journaling(
            journal=self.journal,
            resume=self.resume,
            restart=self.restart,
            codec=self.journal_codec,
            output=self.output,
        )

    @property
    def beside(self) -> str | None:
        """Where failures are listed; `None`: on standard error."""
        return beside(self.output, self.failures)

    def claimed(self) -> IO[bytes] | None:
        """Standard output, if that is where results go. Claim it before the target is imported, which may print."""
        return claim_stdout() if self.output == "-" else None

    def explain(self) -> int:
        """The dry run; returns the exit code."""
        try:
            self._check_apart()
            self.told()
            self.journaling.option()
        except PlaitError as error:
            return early(error, None, self.output or self.target)
        print("Nothing was run.")
        return DONE

    def carry_out(self) -> int:
        """Run it; returns the exit code."""
        errand: Errand | None = None
        with Interrupts() as interrupts, warnings_in_words():
            try:
                self._check_apart()
                errand = self.errand()
                self.journaling.ready()
                self._run(errand, interrupts)
                return self._ended(errand.delivery)
            except BaseException as error:
                return self._early(error, interrupts.code, errand)

    def _check_apart(self) -> None:
        named = self.journal is not None
        check_apart(self.output, self.source_path, self.failures, self.journaling.path, named)

    def _run(self, errand: Errand, interrupts: Interrupts) -> None:
        delivery, run = errand.delivery, errand.run()
        with contextlib.ExitStack() as stack:
            stack.callback(run.cancel)  # also when OUT cannot be opened
            stack.enter_context(delivery)
            stack.enter_context(errand.gathering(run))
            drawn = False if self.quiet and self.progress is None else self.progress
            stack.enter_context(watched(run, errand.total, drawn, busy=delivery.out.on_terminal))
            stack.enter_context(run)
            for result in run:
                delivery.take(result)
                interrupts.check()
        if not self.quiet:
            print(in_flags(run.report.explain()), file=sys.stderr)

    def _ended(self, delivery: Delivery) -> int:
        failures = delivery.failures + delivery.missed
        if not failures:
            self._completed()
            return DONE
        said = f"{counted(failures, 'item')} failed"
        if delivery.beside:
            said += f"; they are listed in {delivery.beside}"
        if delivery.missed:
            said += f", but for {delivery.missed:,} that came too many at once"
        print(f"{said}.", file=sys.stderr)
        if self.journaling.path is not None:
            print(f"To run them again: {self.journaling.again()}", file=sys.stderr)
        return SOME_FAILED

    def _completed(self) -> None:
        """Remove what is the run's own and has nothing left to tell."""
        if self.failures is None and self.beside is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.beside)  # the list of an earlier run says nothing of this one
        if self.first is None:  # else the journal may know of the rest
            self.journaling.completed()

    def _early(self, error: BaseException, interrupted: int | None, errand: Errand | None) -> int:
        code = early(error, interrupted, self.output or self.target)
        if errand is None or code == PIPE_CLOSED:
            return code
        if errand.delivery.taken:
            print(errand.delivery.kept(), file=sys.stderr)
        if interrupted is not None or (self.journaling.exists and not isinstance(error, JournalError)):
            print(self.journaling.go_on(self.source_path), file=sys.stderr)
        return code
