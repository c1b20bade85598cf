"""`plait jobs ...`: look at a queue's jobs, and do something about them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["command"]

F = TypeVar("F", bound=Callable[..., Any])

STATES = ("scheduled", "waiting", "running", "done", "failed", "cancelled")

TARGET = click.argument("target", required=False)
JSON = click.option("--json", "as_json", is_flag=True, help="JSON, a line for each job.")
ONE_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
TASK = click.option("--task", help="Only this task's.")
QUEUE = click.option("--queue", help="Only those of this queue.")
KEY = click.option("--key", help="Only those with this key.")
BEFORE = click.option(
    "--before", type=click.IntRange(1, 2**63 - 1), metavar="ID", help="Only those with smaller ids: the next page."
)
LIMIT = click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=25, show_default=True, help="At most.")
YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def states(*known: str) -> Callable[[F], F]:
    """The option for states."""
    said = "Only those in this state. May be given several times."
    return click.option("-s", "--state", "state", multiple=True, type=click.Choice(known), help=said)


def numbers(given: tuple[str, ...]) -> tuple[str | None, tuple[int, ...]]:
    """A target, if the first of what was given is one, and ids."""
    target = given[0] if given and not given[0].isdecimal() else None
    rest = given[1:] if target is not None else given
    wrong = [said for said in rest if not said.isdecimal()]
    if wrong:
        raise click.UsageError(f"{wrong[0]!r} is not the id of a job. A target comes first, ids after it.")
    return target, tuple(map(int, rest))


def named(given: tuple[str, ...], otherwise: str | None) -> tuple[str | None, str]:
    """A target, if the first of what was given is one, and a queue's name."""
    target = given[0] if given and ":" in given[0] else None
    rest = given[1:] if target is not None else given
    if len(rest) > 1 or (not rest and otherwise is None):
        raise click.UsageError("Name one queue, after the target if there is one.")
    return target, rest[0] if rest else otherwise or ""


def carry_out(target: str | None, what: str, *args: Any, **options: Any) -> None:
    """Do it, and exit."""
    from plait.cli.operating import operate  # brings the stores, which --help does not need

    sys.exit(operate(target, what, *args, **options))


@click.group("jobs")
def command() -> None:
    """Look at a queue's jobs, and do something about them.

    TARGET is FILE.py:JOBS, module:JOBS, or a store's URL: sqlite:///jobs.db, postgresql://USER@HOST/DATABASE. Where
    none is given, the environment's PLAIT_JOBS stands for it.

    \b
    Exit codes: 0 done; 1 some jobs are not known, or not in a state for that;
    2 wrong usage, or a store that cannot be used.
    """


@command.command("ls")
@TARGET
@states(*STATES)
@TASK
@QUEUE
@KEY
@BEFORE
@LIMIT
@JSON
def ls(target: str | None, **options: Any) -> None:
    """List jobs, the newest first."""
    carry_out(target, "ls", **options)


@command.command("dead", short_help="List jobs that have failed for good.")
@TARGET
@TASK
@QUEUE
@KEY
@BEFORE
@LIMIT
@JSON
def dead(target: str | None, **options: Any) -> None:
    """List jobs that have failed for good, the newest first, with their errors."""
    carry_out(target, "ls", state=("failed",), **options)


@command.command("show", short_help="Show all that is known of a job.")
@click.argument("given", metavar="[TARGET] ID", nargs=-1, required=True)
@ONE_JSON
def show(given: tuple[str, ...], as_json: bool) -> None:
    """Show all that is known of a job: the call, times, result, error, traceback."""
    target, ids = numbers(given)
    if len(ids) != 1:
        raise click.UsageError("Name one job by its id.")
    carry_out(target, "show", ids[0], as_json)


def several(function: F) -> F:
    """What `retry` and `cancel` take."""
    every = click.option("--all", "every", is_flag=True, help="All that fit the filters, instead of ids.")
    for option in (YES, KEY, QUEUE, TASK, every):
        function = option(function)
    return click.argument("given", metavar="[TARGET] [ID]...", nargs=-1)(function)


def chosen(given: tuple[str, ...], every: bool, filters: dict[str, Any]) -> tuple[str | None, tuple[int, ...]]:
    """The target and the ids, checked against --all."""
    target, ids = numbers(given)
    if every == bool(ids):
        raise click.UsageError("Name jobs by their ids, or say --all.")
    if ids and any(filters.values()):
        raise click.UsageError("Filters go with --all.")
    return target, ids


@command.command("retry", short_help="Have failed jobs run again.")
@several
@states("failed", "cancelled")
def retry(given: tuple[str, ...], every: bool, yes: bool, **filters: Any) -> None:
    """Have jobs run again that failed (or were cancelled, by id or with --state), with all their attempts."""
    target, ids = chosen(given, every, filters)
    carry_out(target, "retry", ids, yes, **filters)


@command.command("cancel")
@several
@states("scheduled", "waiting", "running")
def cancel(given: tuple[str, ...], every: bool, yes: bool, **filters: Any) -> None:
    """Cancel jobs; those that run are stopped."""
    target, ids = chosen(given, every, filters)
    carry_out(target, "cancel", ids, yes, **filters)


@command.command("pause")
@click.argument("given", metavar="[TARGET] QUEUE", nargs=-1)
def pause(given: tuple[str, ...]) -> None:
    """Let nobody claim jobs of QUEUE; those that run go on."""
    target, queue = named(given, None)
    carry_out(target, "pause", queue)


@command.command("resume")
@click.argument("given", metavar="[TARGET] QUEUE", nargs=-1)
def resume(given: tuple[str, ...]) -> None:
    """Let workers claim jobs of QUEUE again."""
    target, queue = named(given, None)
    carry_out(target, "resume", queue)


@command.command("stats", short_help="Count jobs; show workers and their leases.")
@TARGET
@ONE_JSON
def stats(target: str | None, as_json: bool) -> None:
    """Count jobs by queue, task and state; show the workers and their leases."""
    carry_out(target, "stats", as_json)


@command.command("move", short_help="Move a queue from one store to another.")
@click.argument("source", metavar="FROM")
@click.argument("destination", metavar="TO")
@click.option(
    "--patience", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds for what runs."
)
def move(source: str, destination: str, patience: float) -> None:
    """Move a queue from one store to another: sqlite:///jobs.db to postgresql://USER@HOST/DATABASE, or back.

    Its workers and clients may go on. From the moment that it begins they claim and enqueue nothing more in FROM, and
    are told where it goes; jobs that run have --patience seconds to end. What waits, what has ended, groups, chains,
    unique keys and schedules go on in TO, under the same ids. Whatever ends it halfway: FROM goes on, or the same
    command again does what is left.
    """
    from plait.cli.moving_jobs import moved

    sys.exit(moved(source, destination, patience))
