"""The command line: one file a command; each is imported when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from plait.cli.codes import INTERRUPTED

__all__ = ["main"]

#: Command -> the module and attribute that hold it, and what the list of commands says of it.
COMMANDS = {
    "map": ("plait.cli.map:command", "Run a function over every item of an input."),
    "run": ("plait.cli.run:command", "Run a flow: a source, its stages, a sink."),
    "advise": ("plait.cli.advise:command", "Try each model on an input's first items, and say which to use."),
    "work": ("plait.cli.work:command", "Run a worker of a durable queue."),
    "jobs": ("plait.cli.jobs:command", "Look at a queue's jobs, retry and cancel them, move them."),
    "schedule": ("plait.cli.schedule:command", "See when a queue's schedules come."),
}


class Commands(click.Group):
    """A group that lists its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from plait.errors import nearest

        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            hint = nearest(args[0], COMMANDS)
            raise click.UsageError(f"There is no command {args[0]!r}.{hint} Known: {', '.join(COMMANDS)}.", ctx)
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version  # slow, and only this needs it

        try:
            known = version("plait")
        except PackageNotFoundError:
            known = "(not installed)"
        click.echo(f"plait {known}, Python {sys.version.split()[0]}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it.")
def cli() -> None:
    """Run functions under the concurrency model that fits them, because it was measured.

    Completion for your shell: eval "$(_PLAIT_COMPLETE=bash_source plait)", or zsh_source, fish_source.
    """


def main(args: Sequence[str] | None = None) -> None:
    """The entry point `plait`.

    Exit codes: 0 done; 1 some items failed; 2 wrong usage or unusable input; 130 interrupted, 143 terminated.
    """
    try:
        code = cli.main(args, standalone_mode=False)
    except click.exceptions.Abort:
        code = INTERRUPTED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    sys.exit(code if isinstance(code, int) else 0)
