"""`plait jobs ...`: look at a queue's jobs, and do something about them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["command"]

F = TypeVar("F", bound=Callable[..., Any])

STATES = ("scheduled", "waiting", "running", "done", "failed", "cancelled")


@click.group("jobs")
def command() -> None:
    """Look at a queue's jobs, and do something about them.

    TARGET is FILE.py:JOBS, module:JOBS or a URL, like sqlite:///jobs.db; PLAIT_JOBS stands for it where none is given.
    """


def target(function: F) -> F:
    """The option that names the queue."""
    return click.option("-t", "--target", metavar="TARGET", help="The queue.  [default: PLAIT_JOBS]")(function)


def as_json(function: F) -> F:
    """The option for JSON."""
    return click.option("--json", "as_json", is_flag=True, help="JSON, a line a thing.")(function)


def _operate(named: str | None) -> Any:
    from plait.cli.operating import Operating

    return Operating(named)


@command.command("ls")
@click.option("-s", "--state", multiple=True, type=click.Choice(STATES), help="Only those. May be given several times.")
@click.option("--task", help="Only this task's.")
@click.option("--queue", help="Only those of this queue.")
@click.option("--key", help="Only those with this key.")
@click.option("--before", type=int, metavar="ID", help="Those older than this one: the next page.")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=25, show_default=True)
@target
@as_json
def ls(target: str | None, **options: Any) -> None:
    """List jobs, the newest first."""
    sys.exit(_operate(target).ls(**options))


@command.command("dead")
@click.option("--task", help="Only this task's.")
@click.option("--queue", help="Only those of this queue.")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=25, show_default=True)
@target
@as_json
def dead(target: str | None, **options: Any) -> None:
    """List jobs that have failed, with their errors."""
    sys.exit(_operate(target).ls(state=("failed",), key=None, before=None, **options))


@command.command("show")
@click.argument("job", type=int)
@target
@as_json
def show(job: int, target: str | None, as_json: bool) -> None:
    """Show all that is known of a job: arguments, result, error, traceback."""
    sys.exit(_operate(target).show(job, as_json))


@command.command("retry")
@click.argument("jobs", type=int, nargs=-1)
@click.option("--failed", is_flag=True, help="All that have failed.")
@click.option("--task", help="With --failed: only this task's.")
@target
def retry(jobs: tuple[int, ...], failed: bool, task: str | None, target: str | None) -> None:
    """Have jobs run again that failed or were cancelled."""
    sys.exit(_operate(target).retry(jobs, failed, task))


@command.command("cancel")
@click.argument("jobs", type=int, nargs=-1, required=True)
@target
def cancel(jobs: tuple[int, ...], target: str | None) -> None:
    """Cancel jobs; those that run are stopped."""
    sys.exit(_operate(target).cancel(jobs))


@command.command("pause")
@click.argument("queue", default="default")
@target
def pause(queue: str, target: str | None) -> None:
    """Let nobody claim jobs of QUEUE; those that run go on."""
    sys.exit(_operate(target).pause(queue))


@command.command("resume")
@click.argument("queue", default="default")
@target
def resume(queue: str, target: str | None) -> None:
    """Let workers claim jobs of QUEUE again."""
    sys.exit(_operate(target).resume(queue))


@command.command("stats")
@target
@as_json
def stats(target: str | None, as_json: bool) -> None:
    """Count jobs by queue, task and state; show workers and how old their last sign of life is."""
    sys.exit(_operate(target).stats(as_json))


@command.command("move")
@click.argument("source", metavar="FROM")
@click.argument("destination", metavar="TO")
def move(source: str, destination: str) -> None:
    """Move a queue from one store to another: sqlite:///jobs.db to postgresql://...

    Workers and clients of FROM may go on until it begins; from then on they are told where the queue has gone.
    """
    from plait.cli.operating import moved

    sys.exit(moved(source, destination))
