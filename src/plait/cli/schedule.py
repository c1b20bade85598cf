"""`plait schedule ls|next`: what the code of a queue submits, and when."""

from __future__ import annotations

import sys

import click

__all__ = ["command"]


@click.group("schedule")
def command() -> None:
    """Look at the schedules of a queue. Any of its workers fires them.

    TARGET is FILE.py:JOBS, module:JOBS, or a store's URL; where none is given, PLAIT_JOBS stands for it.
    """


@command.command("ls")
@click.argument("target", required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON, a line for each schedule.")
def ls(target: str | None, as_json: bool) -> None:
    """List the schedules of TARGET: those of its code, and those that its workers have stored."""
    from plait.cli.scheduling import schedule

    sys.exit(schedule(target, "ls", as_json))


@command.command("next")
@click.argument("target", required=False)
@click.option("--name", help="Only this schedule.")
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="Times of each.")
@click.option("--json", "as_json", is_flag=True, help="JSON, a line for each schedule.")
def next_(target: str | None, name: str | None, count: int, as_json: bool) -> None:
    """Show when the schedules of TARGET's code come next, in their own time zone and in yours."""
    from plait.cli.scheduling import schedule

    sys.exit(schedule(target, "next", name, count, as_json))
