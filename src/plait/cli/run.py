"""`plait run TARGET`: run a flow."""

from __future__ import annotations

import sys
from typing import Any

import click

from plait.cli import options as shared

__all__ = ["command"]

OUTPUT = "Where the flow's results go, besides its own sink.  [default: they are counted]"
ON_ERROR = "Of a failed item. raise: end there; skip: list it; return: a Failure goes on.  [default: raise]"


@click.command("run")
@click.argument("target")
@click.option("-o", "--output", metavar="OUT", help=OUTPUT)
@shared.RESUME
@shared.RESTART
@shared.JOURNAL
@shared.JOURNAL_CODEC
@shared.FAILURES
@click.option("--model", help="*A model's name, or several with commas for auto.")
@click.option("--retries", type=click.IntRange(min=0), help="*Try a failed item so many times more.")
@click.option("--timeout", type=shared.SECONDS, metavar="SECONDS", help="*For one attempt.")
@click.option("--rate", metavar="RATE", multiple=True, help='*Attempts that may begin: "50/s", "300/min".')
@click.option("--limit", type=click.IntRange(min=1), metavar="N", multiple=True, help="*Items in progress at once.")
@click.option("--on-error", type=click.Choice(["raise", "skip", "return"]), help=f"*{ON_ERROR}")
@shared.FIRST
@shared.DRY_RUN
@shared.OUTPUT_FORMAT
@shared.PROGRESS
@shared.QUIET
def command(target: str, **options: Any) -> None:
    """Run the flow TARGET (FILE.py:FLOW or module:FLOW).

    FLOW is a global made by plait.flow(...), or a function without arguments that returns one. Its results are counted
    and let go, unless -o OUT names a JSONL, CSV or Parquet file, or - for standard output. On a terminal, a table shows
    each stage while it runs, and which one is the bottleneck.

    Options with a * are defaults, for each stage that does not say it itself.

    Items that fail are listed in OUT.failures.jsonl, or told without an OUT. With --resume, a run that was interrupted
    or killed goes on where it was: what each stage had finished is replayed, not run again.

    \b
    Exit codes: 0 done; 1 some items failed; 2 wrong usage, unusable source or journal; 130 interrupted.
    """
    from plait.cli.running import Running  # brings the engine, which --help does not need

    running = Running(target=target, **options)
    sys.exit(running.explain() if options["dry_run"] else running.carry_out())
