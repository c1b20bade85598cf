"""Jobs in words and tables: times as a reader's clock has them and ages, arguments as a call, states in colour."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from plait.jobs.protocol import State
from plait.jobs.reasons import age
from plait.jobs.records import Snapshot

__all__ = ["age", "as_dict", "details", "json_of", "list_of", "moment", "plain", "stamp", "table"]

_COLOURS = {"done": "green", "failed": "red", "running": "cyan", "cancelled": "dim", "scheduled": "yellow"}
#: Times among what is known of a job.
_TIMES = ("created", "run_at", "started", "finished")


def stamp(seconds: float | None) -> str:
    """A time as a reader's clock has it; times of today without the date."""
    if seconds is None:
        return ""
    try:
        when = datetime.fromtimestamp(seconds, UTC).astimezone()
    except (OverflowError, ValueError, OSError):  # milliseconds taken for seconds, perhaps: no calendar goes so far
        return f"{seconds:.0f} s after 1970"
    today = when.date() == datetime.now(UTC).astimezone().date()
    return when.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def moment(seconds: float, now: float) -> str:
    """A time, and how long that is from now."""
    span = f"in {age(seconds - now)}" if seconds > now else f"{age(now - seconds)} ago"
    return f"{stamp(seconds)} ({span})"


def plain(text: str) -> str:
    """Without control characters, which could do things to a terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)


def value_of(data: bytes | None) -> Any:
    """Encoded arguments or a result, as plain data."""
    if data is None:
        return None
    try:
        return msgspec.msgpack.decode(data)
    except (msgspec.DecodeError, ValueError):
        return f"<{len(data)} bytes that cannot be read>"


def json_of(thing: Any) -> str:
    """As JSON: bytes in base64, times in ISO 8601, what JSON cannot have as text."""
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        return msgspec.json.encode(thing, enc_hook=str).decode()
    return msgspec.json.encode(repr(thing)).decode()


def as_dict(job: Snapshot) -> dict[str, Any]:
    """All that is known of a job, as plain data; its fields' names are stable."""
    found: dict[str, Any] = msgspec.structs.asdict(job)
    return found | {"state": job.state.value, "args": value_of(job.args), "result": value_of(job.result)}


def call_of(job: Snapshot) -> str:
    """The job as the call that it is; arguments are kept only as long as it may run again."""
    if job.args is None:
        return plain(f"{job.task}(...)")
    args = value_of(job.args)
    said = (
        ", ".join(f"{name}={_short(value)}" for name, value in args.items()) if isinstance(args, dict) else _short(args)
    )
    return plain(f"{job.task}({said})")


def _short(value: Any, most: int = 2000) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def outcome_of(job: Snapshot, now: float) -> Text:
    """What is to be said of a job in one line."""
    said = ""
    if job.error:
        said = plain(job.error.splitlines()[0])
    elif job.state is State.RUNNING and job.progress is not None:
        said = f"{job.progress:.0%} {plain(job.note)}".strip()
    elif job.state is State.WAITING and job.held:
        said = f"held by {plain(job.held)}"
    if job.state is State.SCHEDULED and job.run_at is not None:
        said = f"in {age(job.run_at - now)}{'; ' if said else ''}{said}"
    if job.stopping:
        said = f"is being stopped{'; ' if said else ''}{said}"
    return Text(said, overflow="ellipsis", no_wrap=True)


def table(*columns: str, right: tuple[str, ...] = (), whole: tuple[str, ...] = ()) -> Table:
    """An empty table; the columns of `right` hold numbers, those of `whole` make no room for others."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=column in whole
        )
    return made


def state_of(job: Snapshot) -> Text:
    """Its state, in colour."""
    return Text(job.state.value, _COLOURS.get(job.state.value, ""))


def list_of(jobs: list[Snapshot], now: float) -> Table:
    """A table of jobs."""
    numbers = ("id", "attempt", "age")
    made = table("id", "task", "queue", "state", "attempt", "age", "", right=numbers, whole=(*numbers, "state"))
    for job in jobs:
        what = outcome_of(job, now)
        made.add_row(
            str(job.id),
            plain(job.task),
            plain(job.queue),
            state_of(job),
            str(job.attempt),
            age(now - job.created),
            what,
        )
    return made


def details(
    console: Console, job: Snapshot, now: float, why: str = "", read: Callable[[bytes | None], Any] = value_of
) -> None:
    """Print all that is known of a job; why: what it waits for, if it does."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("job", Text(f"{job.id}"))
    grid.add_row("call", Text(call_of(job)))
    grid.add_row("state", state_of(job) + Text(", is being stopped" if job.stopping else "", "red"))
    if job.state is State.WAITING and why:
        grid.add_row("why", Text(plain(why)))
    known = msgspec.structs.asdict(job)
    for name in ("queue", "priority", "key", "unique", "group", "attempt", "crashes", "worker", "held", *_TIMES):
        value = known[name]
        if value is None or (value == 0 and name in ("priority", "group", "crashes")):
            continue
        grid.add_row(
            name.replace("run_at", "runs at"), Text(moment(value, now) if name in _TIMES else plain(str(value)))
        )
    if job.progress is not None:
        grid.add_row("progress", Text(f"{job.progress:.0%} {plain(job.note)}".strip()))
    if job.state is State.DONE:
        grid.add_row("result", Text(plain(_short(read(job.result)))))
    if job.error:
        grid.add_row("error", Text(plain(job.error), "red"))
    console.print(grid)
    if job.traceback:
        console.print()
        console.print(Text(plain(job.traceback.rstrip())), soft_wrap=True)
