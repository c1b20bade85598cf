"""`plait map TARGET INPUT`: run a function over every item of an input."""

from __future__ import annotations

import sys
from typing import Any

import click

__all__ = ["command"]


class Share(click.ParamType):
    """A count (`10`) or a share (`5%`, `0.05`)."""

    name = "count|share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        try:
            return float(value[:-1]) / 100 if value.endswith("%") else float(value) if "." in value else int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a count (10) nor a share (5% or 0.05)", param, ctx)


INPUTS = click.Choice(["lines", "jsonl", "csv", "parquet", "files"])
OUTPUTS = click.Choice(["jsonl", "csv", "parquet"])
ON_ERROR = "skip: list failures beside OUT; return: a row stands for them, too; raise: end there.  [default: skip]"
SECONDS = click.FloatRange(min=0, min_open=True)


@click.command("map")
@click.argument("target")
@click.argument("inputs", metavar="INPUT", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("-o", "--output", metavar="OUT", default="-", help="Where results go.  [default: standard output]")
@click.option("--model", default="auto", show_default=True, help="A model's name, or several with commas for auto.")
@click.option("--workers", type=click.IntRange(min=1), help="At most so many processes.  [default: measured]")
@click.option("--width", type=click.IntRange(min=1), help="At most so many items at once in each.  [default: measured]")
@click.option("--retries", type=click.IntRange(min=0), default=0, help="Try a failed item so many times more.")
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="For one attempt.")
@click.option("--deadline", type=SECONDS, metavar="SECONDS", help="For an item with all its attempts.")
@click.option("--on-error", type=click.Choice(["skip", "return", "raise"]), default="skip", help=ON_ERROR)
@click.option("--max-failures", type=Share(), help="End the run when more items fail: 10, or 5%.")
@click.option("--failures", metavar="FILE", help="Where failures are listed.  [default: OUT.failures.jsonl]")
@click.option("--unordered", is_flag=True, help="Results as they finish, not in the input's order.")
@click.option("--memory", metavar="SIZE", help='Keep workers below it: "2GiB".')
@click.option("--buffer", type=click.IntRange(min=1), help="Items that may be read ahead.  [default: measured]")
@click.option("--first", type=click.IntRange(min=0), metavar="N", help="Only the first N items.")
@click.option("--dry-run", is_flag=True, help="Run nothing: show the function, the first items and the options.")
@click.option("--input-format", type=INPUTS, help="How to read INPUT.  [default: by its name]")
@click.option("--output-format", type=OUTPUTS, help="How to write OUT.  [default: by its name]")
@click.option("--encoding", default="utf-8", show_default=True, help="Of an INPUT that is text.")
@click.option("--progress/--no-progress", default=None, help="A bar.  [default: on a terminal]")
@click.option("-q", "--quiet", is_flag=True, help="No bar and no report.")
def command(inputs: tuple[str, ...], max_failures: float | None, **options: Any) -> None:
    """Run TARGET (FILE.py:FUNC or module:FUNC) over every item of INPUT.

    INPUT is a file of lines, JSONL, CSV or Parquet (also .gz), a folder or quoted glob, whose files' paths are the
    items, or - for standard input. OUT is JSONL, CSV or Parquet by its name, or -. The function gets a line, a JSON
    value, a row as a dict, or a path.

    Items that fail are listed in OUT.failures.jsonl. Until the run is complete, results are in OUT.partial.

    \b
    Exit codes: 0 done; 1 some items failed; 2 wrong usage or unusable input; 130 interrupted.
    """
    if len(inputs) > 1:
        raise click.UsageError(f"One INPUT is wanted, {len(inputs)} were given. Quote a pattern, for example '*.txt'.")
    from plait.cli.mapping import Mapping  # brings the engine, which --help does not need

    mapping = Mapping(input=inputs[0], max_failures=max_failures, **options)
    sys.exit(mapping.explain() if options["dry_run"] else mapping.carry_out())
