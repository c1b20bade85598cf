"""`plait map TARGET INPUT`: run a function over every item of an input."""

from __future__ import annotations

import sys
from typing import Any

import click

from plait.cli import options as shared

__all__ = ["command"]

ON_ERROR = "skip: list failures beside OUT; return: a row stands for them, too; raise: end there.  [default: skip]"
RATE = 'Attempts that may begin: "50/s", "300/min". May be given several times.'
RATE_KEY = "Each KEY has the last --rate for itself: a field of the items, or FILE.py:FUNC."
LIMIT = "Items that may be in progress at once. May be given several times."
LIMIT_KEY = "Each KEY has the last --limit for itself."
HEDGE = "Issue stragglers again, of a function that may run twice: those beyond 95% of what items take."


@click.command("map")
@click.argument("target")
@click.argument("inputs", metavar="INPUT", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("-o", "--output", metavar="OUT", default="-", help="Where results go.  [default: standard output]")
@click.option("--model", default="auto", show_default=True, help="A model's name, or several with commas for auto.")
@shared.WORKERS
@shared.WIDTH
@click.option("--retries", type=click.IntRange(min=0), default=0, help="Try a failed item so many times more.")
@shared.TIMEOUT
@click.option("--deadline", type=shared.SECONDS, metavar="SECONDS", help="For an item with all its attempts.")
@click.option("--rate", metavar="RATE", multiple=True, help=RATE)
@click.option("--rate-key", metavar="KEY", help=RATE_KEY)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", multiple=True, help=LIMIT)
@click.option("--limit-key", metavar="KEY", help=LIMIT_KEY)
@click.option("--hedge", type=shared.Percentile(), metavar="[95%]", is_flag=False, flag_value="95%", help=HEDGE)
@click.option("--on-error", type=click.Choice(["skip", "return", "raise"]), default="skip", help=ON_ERROR)
@click.option("--max-failures", type=shared.Share(), help="End the run when more items fail: 10, or 5%.")
@shared.FAILURES
@shared.RESUME
@shared.RESTART
@shared.JOURNAL
@shared.JOURNAL_CODEC
@click.option("--unordered", is_flag=True, help="Results as they finish, not in the input's order.")
@click.option("--memory", metavar="SIZE", help='Keep workers below it: "2GiB".')
@click.option("--buffer", type=click.IntRange(min=1), help="Items that may be read ahead.  [default: measured]")
@shared.FIRST
@shared.DRY_RUN
@shared.INPUT_FORMAT
@shared.OUTPUT_FORMAT
@shared.ENCODING
@shared.PROGRESS
@shared.QUIET
def command(inputs: tuple[str, ...], **options: Any) -> None:
    """Run TARGET (FILE.py:FUNC or module:FUNC) over every item of INPUT.

    INPUT is a file of lines, JSONL, CSV or Parquet (also .gz), a folder or quoted glob, whose files' paths are the
    items, or - for standard input. OUT is JSONL, CSV or Parquet by its name, or -. The function gets a line, a JSON
    value, a row as a dict, or a path.

    Items that fail are listed in OUT.failures.jsonl. Until the run is complete, results are in OUT.partial. With
    --resume, a run that was interrupted or killed goes on where it was, and one with failures runs only those again.

    \b
    Exit codes: 0 done; 1 some items failed; 2 wrong usage, unusable input or journal; 130 interrupted.
    """
    if len(inputs) > 1:
        raise click.UsageError(f"One INPUT is wanted, {len(inputs)} were given. Quote a pattern, for example '*.txt'.")
    from plait.cli.mapping import Mapping  # brings the engine, which --help does not need

    mapping = Mapping(input=inputs[0], **options)
    sys.exit(mapping.explain() if options["dry_run"] else mapping.carry_out())
