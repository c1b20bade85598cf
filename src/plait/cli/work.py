"""`plait work TARGET`: run a worker."""

from __future__ import annotations

import sys

import click

__all__ = ["command"]


@click.command("work")
@click.argument("target", required=False, envvar="PLAIT_JOBS")
@click.option("--queues", metavar="A,B", default="", help="Those that it serves.  [default: all]")
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N", help="Jobs in hand at once.  [default: 10000]")
@click.option("--grace", type=click.FloatRange(min=0), default=25.0, show_default=True, help="Seconds to end in order.")
@click.option("--burst", is_flag=True, help="End when there is nothing to do.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def command(target: str | None, queues: str, concurrency: int | None, grace: float, burst: bool, quiet: bool) -> None:
    """Run the jobs of TARGET (FILE.py:JOBS or module:JOBS; PLAIT_JOBS by default), of all tasks in it.

    Each task runs in a lane of its own, under the model that measuring it leads to: async jobs on an event loop,
    waiting ones in threads, computing ones alone, all of it in worker processes that this one watches. Only a task
    with model="threads", "async" or "serial" runs in this process itself: a job that kills it kills the worker.

    The first Ctrl-C or SIGTERM: nothing more is claimed, running jobs may end within --grace seconds, the rest is
    handed back. The second: it is handed back at once.

    \b
    Exit codes: 0 ended in good order; 2 wrong usage, or a store that cannot be
    used or has moved; 130, 143 interrupted twice.
    """
    if not target:
        raise click.UsageError("Name a queue, FILE.py:JOBS or module:JOBS, or set PLAIT_JOBS.")
    if "://" in target:
        raise click.UsageError(f"{target} is a store: a worker needs the code of its tasks. Name FILE.py:JOBS.")
    from plait.cli.working import Working  # brings the engine, which --help does not need

    names = tuple(name.strip() for name in queues.split(",") if name.strip())
    sys.exit(Working(target, names, concurrency, grace, burst, quiet).carry_out())
