"""What `plait map` does: opens input and output, runs the function over the items, and says how it went."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

import plait
from plait.cli.carrying import Carrying, Errand
from plait.cli.delivery import Delivery, counted
from plait.cli.flags import FlagError
from plait.cli.inputs import model_of, source_of
from plait.cli.outputs import format_of, writer_of
from plait.cli.pacing import Field, limits_of, rates_of
from plait.cli.target import load
from plait.surface import read, write

__all__ = ["Mapping"]

REMEDY = "give FILE.py:FUNC, a function of the item"


@dataclass(frozen=True, kw_only=True)
class Mapping(Carrying):
    """The command's arguments, as given."""

    input: str
    output: str
    model: str
    workers: int | None
    width: int | None
    retries: int
    timeout: float | None
    deadline: float | None
    rate: tuple[str, ...]
    rate_key: str | None
    limit: tuple[int, ...]
    limit_key: str | None
    hedge: float | None
    on_error: str
    max_failures: float | None
    unordered: bool
    memory: str | None
    buffer: int | None
    input_format: str | None
    encoding: str

    @property
    def source_path(self) -> str:
        """The input."""
        return self.input

    def options(self, source: read.Source[Any]) -> dict[str, Any]:
        """Those of `plait.map`, without those that were left to it."""
        rates, limits = rates_of(self.rate, self.rate_key), limits_of(self.limit, self.limit_key)
        for paced in (*(rates or ()), *(limits or ())):
            if isinstance(paced.key, Field) and source.format in ("lines", "files"):
                what = "a line" if source.format == "lines" else "a path"
                raise FlagError(f"{paced.key.flag} {paced.key.name}", f"names a field, and {what} has none", REMEDY)
        if self.max_failures is not None and self.on_error == "raise":
            raise FlagError("--max-failures", "allows failures, and --on-error raise none", "leave out one of them")
        given = {
            "model": model_of(self.model),
            "workers": self.workers,
            "width": self.width,
            "ordered": not self.unordered,
            "retries": self.retries,
            "timeout": self.timeout,
            "deadline": self.deadline,
            "rate": rates,
            "limit": limits,
            "hedge": self.hedge,
            "max_failures": self.max_failures,
            "memory": self.memory,
            "buffer": self.buffer,
            "journal": self.journaling.option(),
        }
        return {name: value for name, value in given.items() if value is not None}

    def source(self) -> read.Source[Any]:
        """The input, read by the format given or by its name's."""
        return source_of(self.input, self.input_format, self.encoding)

    def writer(self, stdout: IO[bytes] | None) -> write.Writer:
        """What writes the output, to `stdout` if there is one."""
        format = format_of(self.output, self.output_format)
        if self.on_error == "return" and format != "jsonl":
            raise write.WriteError(self.output, f"{format} has no rows for failures", "Use JSONL, or --on-error skip.")
        return writer_of(self.output, format, stdout)

    def errand(self) -> Errand:
        """The function over the items."""
        stdout = self.claimed()
        function, source = load(self.target), self.source()
        options, writer = self.options(source), self.writer(stdout)
        delivery = Delivery(writer, self.beside, on_error=self.on_error, ordered=not self.unordered)
        items = delivery.watch(source if self.first is None else itertools.islice(source, self.first))
        run = partial(plait.map, function, items, on_error="return", progress=False, **options)
        return Errand(run=run, delivery=delivery, total=self.total(source))

    def told(self) -> None:
        """The function, the first items, and what would be done with them."""
        function, source = load(self.target), self.source()
        options, writer = self.options(source), self.writer(None)
        some = list(itertools.islice(source, min(3, self.first if self.first is not None else 3)))
        hint = self.total(source)
        print(f"function  {_described(function, self.target)}")
        count = "items not counted" if hint is None else f"about {counted(hint, 'item')}"
        print(f"input     {self.input}, read as {source.format}, {count}")
        for index, item in enumerate(some):
            shown = repr(item)
            print(f"  item {index}  {shown if len(shown) <= 100 else shown[:97] + '...'}")
        print(f"output    {'standard output' if self.output == '-' else writer.path}; on error: {self.on_error}")
        print(f"failures  {self.beside or 'told on standard error'}")
        print("options   " + ", ".join(f"{name}={value!r}" for name, value in options.items()))

    def total(self, source: read.Source[Any]) -> int | None:
        """About how many items will be run."""
        hint = source.total_hint()
        return hint if self.first is None else self.first if hint is None else min(hint, self.first)


def _described(function: Callable[[Any], Any], target: str) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    where = f" ({code.co_filename}, line {code.co_firstlineno})" if code else ""
    return f"{'async ' if inspect.iscoroutinefunction(function) else ''}{target}{where}"
