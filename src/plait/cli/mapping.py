"""What `plait map` does: opens input and output, runs, and turns what happened into words and an exit code."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import plait
from plait.cli.delivery import Delivery, FirstFailure, claim_stdout, counted
from plait.cli.inputs import model_of, source_of
from plait.cli.interrupts import Interrupts
from plait.cli.target import load
from plait.errors import PlaitError, TooManyFailures
from plait.events import Event, RunFinished
from plait.surface import read, write

__all__ = ["Mapping"]

DONE, SOME_FAILED, MISUSED, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """The command's arguments, as given."""

    target: str
    input: str
    output: str
    model: str
    workers: int | None
    width: int | None
    retries: int
    timeout: float | None
    deadline: float | None
    on_error: str
    max_failures: float | None
    failures: str | None
    unordered: bool
    memory: str | None
    buffer: int | None
    first: int | None
    dry_run: bool
    input_format: str | None
    output_format: str | None
    encoding: str
    progress: bool | None
    quiet: bool

    def options(self) -> dict[str, Any]:
        """Those of `plait.map`, without those that were left to it."""
        given = {
            "model": model_of(self.model),
            "workers": self.workers,
            "width": self.width,
            "ordered": not self.unordered,
            "retries": self.retries,
            "timeout": self.timeout,
            "deadline": self.deadline,
            "max_failures": self.max_failures,
            "memory": self.memory,
            "buffer": self.buffer,
        }
        return {name: value for name, value in given.items() if value is not None}

    def source(self) -> read.Source[Any]:
        """The input, read by the format given or by its name's."""
        return source_of(self.input, self.input_format, self.encoding)

    def writer(self, stdout: Callable[[], IO[bytes]]) -> write.Writer:
        """What writes the output; `stdout` is only asked for the stream if that is where results go."""
        format = self.output_format or ("jsonl" if self.output == "-" else write.format_of(self.output))
        if format is None:
            remedy = "Call it .jsonl, .csv or .parquet, or give --output-format."
            raise write.WriteError(self.output, "its name does not tell its format", remedy)
        if self.on_error == "return" and format != "jsonl":
            raise write.WriteError(self.output, f"{format} has no rows for failures", "Use JSONL, or --on-error skip.")
        make = {"jsonl": write.jsonl, "csv": write.csv, "parquet": write.parquet}[format]
        return make(stdout() if self.output == "-" else self.output)

    def beside(self) -> str | None:
        """Where failures are listed: nowhere but on standard error if results go to standard output or a device."""
        regular = self.output != "-" and (os.path.isfile(self.output) or not os.path.exists(self.output))
        return self.failures or (f"{self.output}.failures.jsonl" if regular else None)

    def explain(self) -> int:
        """The dry run: says what would be run, over what, and runs nothing."""
        try:
            function, source = load(self.target), self.source()
            writer = self.writer(lambda: sys.stdout.buffer)
            some = list(itertools.islice(source, min(3, self.first if self.first is not None else 3)))
        except PlaitError as error:
            return _told(error, MISUSED)
        hint = self.total(source)
        print(f"function  {_described(function, self.target)}")
        count = "items not counted" if hint is None else f"about {counted(hint, 'item')}"
        print(f"input     {self.input}, read as {source.format}, {count}")
        for index, item in enumerate(some):
            shown = repr(item)
            print(f"  item {index}  {shown if len(shown) <= 100 else shown[:97] + '...'}")
        print(f"output    {'standard output' if self.output == '-' else writer.path}; on error: {self.on_error}")
        print(f"failures  {self.beside() or 'told on standard error'}")
        print("options   " + ", ".join(f"{name}={value!r}" for name, value in self.options().items()))
        print("Nothing was run.")
        return DONE

    def total(self, source: read.Source[Any]) -> int | None:
        """About how many items will be run."""
        hint = source.total_hint()
        return hint if self.first is None else self.first if hint is None else min(hint, self.first)

    def carry_out(self) -> int:
        """Run it; returns the exit code."""
        delivery: Delivery | None = None
        with Interrupts() as interrupts:
            try:
                function, source = load(self.target), self.source()
                writer = self.writer(claim_stdout)
                delivery = Delivery(writer, self.beside(), on_error=self.on_error, ordered=not self.unordered)
                self._run(function, source, delivery, interrupts)
                return self._ended(delivery)
            except BaseException as error:
                return self._early(error, interrupts.code, delivery)

    def _early(self, error: BaseException, interrupted: int | None, delivery: Delivery | None) -> int:
        """Say why it ended early; the exit code for that."""
        # An interrupt may come at any instruction: what cleaning up had to say of that is not the news.
        if interrupted is not None or isinstance(error, KeyboardInterrupt):
            return _told("Interrupted.", interrupted or INTERRUPTED, delivery)
        match error:
            case FirstFailure() | TooManyFailures():
                return _told(error, SOME_FAILED, delivery)
            case BrokenPipeError():
                return PIPE_CLOSED
            case PlaitError():
                return _told(error, MISUSED, delivery)
            case OSError():
                return _told(f"{error.filename or self.output}: {error.strerror or error}.", MISUSED, delivery)
        raise error

    def _run(
        self, function: Callable[[Any], Any], source: read.Source[Any], delivery: Delivery, interrupts: Interrupts
    ) -> None:
        items = delivery.watch(source if self.first is None else itertools.islice(source, self.first))
        run: Any = plait.map(function, items, on_error="return", progress=False, **self.options())
        with contextlib.ExitStack() as stack:
            stack.callback(run.cancel)  # also when OUT cannot be opened
            stack.enter_context(delivery)
            observer = self._observer(stack, source, delivery)
            if observer is not None:
                stack.enter_context(run.observe(observer))
            stack.enter_context(run)
            for result in run:
                delivery.take(result)
                interrupts.check()
        if not self.quiet:
            print(run.report.explain(), file=sys.stderr)

    def _observer(
        self, stack: contextlib.ExitStack, source: read.Source[Any], delivery: Delivery
    ) -> Callable[[Event], object] | None:
        """A bar on a terminal that is not busy with results; lines of text elsewhere, if asked for."""
        drawn = sys.stderr.isatty() and not delivery.out.on_terminal
        if not (drawn and not self.quiet if self.progress is None else self.progress):
            return None
        from plait.watch.progress import progress_bar  # only here: whoever sees no bar does not wait for it

        if not drawn or not hasattr(os, "openpty"):
            return stack.enter_context(progress_bar(self.total(source), draw=drawn))
        from plait.watch.prints import PrintsAbove

        prints = stack.enter_context(PrintsAbove())
        bar = stack.enter_context(progress_bar(self.total(source), console=prints.console))

        def observe(event: Event) -> None:
            if isinstance(event, RunFinished):
                prints.drain()  # what was printed stays above the bar's last line
            bar(event)

        return observe

    def _ended(self, delivery: Delivery) -> int:
        if not delivery.failures:
            return DONE
        where = f"; they are listed in {delivery.beside}" if delivery.beside else ""
        print(f"{counted(delivery.failures, 'item')} failed{where}.", file=sys.stderr)
        return SOME_FAILED


def _told(what: BaseException | str, code: int, delivery: Delivery | None = None) -> int:
    print(f"plait: {what}", file=sys.stderr)
    if delivery is not None and delivery.taken:
        print(delivery.kept(), file=sys.stderr)
    return code


def _described(function: Callable[[Any], Any], target: str) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    where = f" ({code.co_filename}, line {code.co_firstlineno})" if code else ""
    return f"{'async ' if inspect.iscoroutinefunction(function) else ''}{target}{where}"
