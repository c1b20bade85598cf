"""`plait schedule ls|next`: what the code of a queue submits, and when."""

from __future__ import annotations

import sys

import click

__all__ = ["command"]


@click.group("schedule")
def command() -> None:
    """Look at the schedules of a queue. Any of its workers fires them."""


@command.command("ls")
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="JSON, a line a schedule.")
def ls(target: str, as_json: bool) -> None:
    """List the schedules of TARGET (FILE.py:JOBS, module:JOBS or a URL)."""
    from plait.cli.scheduling import Scheduling

    sys.exit(Scheduling(target).ls(as_json))


@command.command("next")
@click.argument("target")
@click.argument("name", required=False)
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=5, show_default=True)
def next_(target: str, name: str | None, count: int) -> None:
    """Show when the schedules of TARGET (FILE.py:JOBS or module:JOBS), or only NAME, come next."""
    from plait.cli.scheduling import Scheduling

    sys.exit(Scheduling(target).next(name, count))
