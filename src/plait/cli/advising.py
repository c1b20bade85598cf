"""What `plait advise` does: opens the input, asks for the advice, and shows it as a table, as JSON, as a plot."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from dataclasses import dataclass
from typing import Any

import plait
from plait.cli.codes import DONE, SOME_FAILED
from plait.cli.delivery import claim_stdout
from plait.cli.early import early
from plait.cli.inputs import model_of, source_of
from plait.cli.interrupts import Interrupts
from plait.cli.target import load
from plait.surface.advising.plot import check

__all__ = ["Advising"]


@dataclass(frozen=True, kw_only=True)
class Advising:
    """The command's arguments, as given."""

    target: str
    input: str
    seconds: float
    first: int | None
    model: str
    workers: int | None
    width: int | None
    timeout: float | None
    json: bool
    plot: str | None
    input_format: str | None
    encoding: str

    def options(self) -> dict[str, Any]:
        """Those of `plait.advise`, without those that were left to it."""
        given = {
            "model": model_of(self.model),
            "workers": self.workers,
            "width": self.width,
            "timeout": self.timeout,
        }
        return {name: value for name, value in given.items() if value is not None}

    def carry_out(self) -> int:
        """Advise; returns the exit code."""
        with Interrupts() as interrupts:
            try:
                return self._advise(interrupts)
            except BaseException as error:
                return early(error, interrupts.code, self.input)

    def _advise(self, interrupts: Interrupts) -> int:
        if self.plot is not None:
            check(self.plot)  # before any time is spent
        drawn, width = sys.stdout.isatty(), _columns()
        with claim_stdout() as out:  # before the target is imported, which may print
            function, source = load(self.target), source_of(self.input, self.input_format, self.encoding)
            advice = plait.advise(
                function,
                source,
                sample=self.first,
                seconds=self.seconds,
                progress=sys.stderr.isatty(),
                **self.options(),
            )
            interrupts.check()
            if self.plot is not None:
                advice.plot(self.plot)
            out.write(self._shown(advice, drawn, width).encode())
        if self.plot is not None:
            print(f"The plot is in {self.plot}.", file=sys.stderr)
        return SOME_FAILED if advice.items and advice.failures == advice.items else DONE

    def _shown(self, advice: plait.Advice, drawn: bool, width: int) -> str:
        line = self._line(advice) if advice.chosen else None
        if self.json:
            return json.dumps({**advice.to_dict(), "command": line}, indent=2) + "\n"
        if not drawn:
            return f"{advice}\n    {line}\n" if line else f"{advice}\n"
        from rich.console import Console  # only a terminal needs it

        text = io.StringIO()
        console = Console(file=text, force_terminal=True, width=width)
        console.print(advice)
        if line:
            console.print(f"    {line}", style="cyan", highlight=False, markup=False, soft_wrap=True)
        return text.getvalue()

    def _line(self, advice: plait.Advice) -> str:
        """The command that runs all of the input that way."""
        at, words = advice.placement, ["plait", "map", self.target, self.input, "--model", advice.model]
        if at.place != "here" and self.workers is not None:
            words += ["--workers", str(at.workers or self.workers)]
        if at.style != "serial" and at.width:
            words += ["--width", str(at.width)]
        if self.timeout is not None:
            words += ["--timeout", f"{self.timeout:g}"]
        if self.input_format is not None:
            words += ["--input-format", self.input_format]
        if self.encoding != "utf-8":
            words += ["--encoding", self.encoding]
        return shlex.join([*words, "-o", "results.jsonl"])


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
