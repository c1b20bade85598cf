"""Options that several commands have."""

from __future__ import annotations

from typing import Any

import click

__all__ = [
    "DRY_RUN",
    "ENCODING",
    "FAILURES",
    "FIRST",
    "INPUT_FORMAT",
    "JOURNAL",
    "JOURNAL_CODEC",
    "OUTPUT_FORMAT",
    "PROGRESS",
    "QUIET",
    "RESTART",
    "RESUME",
    "SECONDS",
    "TIMEOUT",
    "WIDTH",
    "WORKERS",
    "Percentile",
    "Share",
]


class Share(click.ParamType):
    """A count (`10`) or a share (`5%`, `0.05`)."""

    name = "count|share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """Click's hook."""
        try:
            return float(value[:-1]) / 100 if value.endswith("%") else float(value) if "." in value else int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a count (10) nor a share (5% or 0.05)", param, ctx)


class Percentile(click.ParamType):
    """A percentile: `95%` or `0.95`."""

    name = "percentile"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Click's hook."""
        try:
            return float(value[:-1]) / 100 if str(value).endswith("%") else float(value)
        except ValueError:
            self.fail(f"{value!r} is no percentile: write --hedge=95%, or put --hedge last", param, ctx)


SECONDS = click.FloatRange(min=0, min_open=True)
AT_LEAST_ONE = click.IntRange(min=1)

WORKERS = click.option("--workers", type=AT_LEAST_ONE, help="At most so many processes.  [default: measured]")
WIDTH = click.option("--width", type=AT_LEAST_ONE, help="At most so many items at once in each.  [default: measured]")
TIMEOUT = click.option("--timeout", type=SECONDS, metavar="SECONDS", help="For one attempt.")
FIRST = click.option("--first", type=click.IntRange(min=0), metavar="N", help="Only the first N items.")
FAILURES = click.option("--failures", metavar="FILE", help="Where failures are listed.  [default: OUT.failures.jsonl]")

INPUTS = click.Choice(["lines", "jsonl", "csv", "parquet", "files"])
INPUT_FORMAT = click.option("--input-format", type=INPUTS, help="How to read INPUT.  [default: by its name]")
ENCODING = click.option("--encoding", default="utf-8", show_default=True, help="Of an INPUT that is text.")
OUTPUTS = click.Choice(["jsonl", "csv", "parquet"])
OUTPUT_FORMAT = click.option("--output-format", type=OUTPUTS, help="How to write OUT.  [default: by its name]")

_RESUME = "Keep a journal, OUT.journal, and go on from the one that an interrupted run left. It goes when all is done."
_RESTART = "The same, but throw away what the journal holds."
_JOURNAL = "Keep the journal there, and keep it: results in it are replayed, not run again."
_CODEC = "How the journal holds results. pickle: any type; trust who wrote it.  [default: msgpack, plain data]"
JOURNAL = click.option("--journal", metavar="FILE", help=_JOURNAL)
RESUME = click.option("--resume", is_flag=True, help=_RESUME)
RESTART = click.option("--restart", is_flag=True, help=_RESTART)
JOURNAL_CODEC = click.option(
    "--journal-codec", type=click.Choice(["msgpack", "json", "pickle"]), default="msgpack", help=_CODEC
)

DRY_RUN = click.option("--dry-run", is_flag=True, help="Run nothing: show what would be run.")
PROGRESS = click.option("--progress/--no-progress", default=None, help="A bar.  [default: on a terminal]")
QUIET = click.option("-q", "--quiet", is_flag=True, help="No bar and no report.")
