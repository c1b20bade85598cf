"""`plait advise TARGET INPUT`: try the models on an input's first items, and say which to use."""

from __future__ import annotations

import sys
from typing import Any

import click

from plait.cli import options as shared

__all__ = ["command"]


@click.command("advise")
@click.argument("target")
@click.argument("inputs", metavar="INPUT", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--seconds", type=shared.SECONDS, default=10.0, show_default=True, help="How long all the trying may take."
)
@click.option("--first", type=click.IntRange(min=1), metavar="N", help="Use the first N items at most.")
@click.option("--model", default="auto", help="Try these only: a model's name, or several with commas.")
@shared.WORKERS
@shared.WIDTH
@shared.TIMEOUT
@click.option("--json", is_flag=True, help="Everything as JSON.")
@click.option("--plot", metavar="FILE", help="Draw items a second against width: FILE.svg or FILE.png.")
@shared.INPUT_FORMAT
@shared.ENCODING
def command(inputs: tuple[str, ...], **options: Any) -> None:
    """Try each model on the first items of INPUT, and say which to use for TARGET (FILE.py:FUNC or module:FUNC).

    Items are really run, each once, and their results thrown away: what the function writes is written, what it sends
    is sent. INPUT is what plait map takes.

    \b
    Exit codes: 0 done; 1 every item failed; 2 wrong usage or unusable input; 130 interrupted.
    """
    if len(inputs) > 1:
        raise click.UsageError(f"One INPUT is wanted, {len(inputs)} were given. Quote a pattern, for example '*.txt'.")
    from plait.cli.advising import Advising  # brings the engine, which --help does not need

    sys.exit(Advising(input=inputs[0], **options).carry_out())
