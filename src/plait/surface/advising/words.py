"""An advice in words: the sentence that a manager understands, the line of code, and figures that can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plait.fit.evidence import Evidence
from plait.fit.reasons import COMPUTES, WAITS, percent, span
from plait.placement import Placement
from plait.surface.advising.verdict import NEAR, Row, holds_gil

__all__ = [
    "an",
    "bytes_in_words",
    "code",
    "duration",
    "evidence_in_words",
    "noise",
    "pace",
    "plural",
    "sentence",
    "why",
]

#: Below this an item counts as tiny, above it waiting for workers pays. Seconds.
TINY = 50e-6


def sentence(
    row: Row, loop: float | None, total: int | None, evidence: Evidence | None, *, is_async: bool, reason: str = ""
) -> str:
    """What to use, what that gains and why, in one sentence.

    Parameters:
        row: the choice.
        loop: items a second one at a time; `None`: not known.
        total: items of the whole input, where known.
        reason: what else speaks for it, said in place of the function's nature.
    """
    rate, at = (row.brief and row.predicted) or row.measured or row.predicted or 0.0, row.placement
    since = reason or why(evidence, is_async=is_async, cpu=row.cpu)
    if at.place == "here" and at.style == "serial":
        done = f"a plain loop does {pace(rate)}" if total is None else f"a plain loop {_finishes(1, total, rate)}"
        if not reason:
            since = f"nothing that was tried is more than {percent(NEAR)} faster"
            if evidence is not None and evidence.seconds_mean < TINY:
                since = f"an item takes only {span(evidence.seconds_mean)}: handing it out costs as much"
        return f"Use serial: {done}, and {since}."
    count, who = _who(at)
    gained = loop is not None and rate > (1 + NEAR) * loop
    if total is None:
        verb = "does" if count == 1 else "do"
        done = f"{who} {verb} {pace(rate)}" + (f" instead of {_count(loop)}" if gained and loop else "")
    else:
        done = f"{who} {_finishes(count, total, rate)}"
        if gained and loop:
            done += _instead(total / rate, total / loop)
    return f"Use {row.model}: {done}" + (f", since {since}." if since else ".")


def _finishes(count: int, total: int, rate: float) -> str:
    verb = "finishes" if count == 1 else "finish"
    return f"{verb} {plural(total, 'item')} in {duration(total / rate) if rate else 'an unknown time'}"


def _instead(taken: float, loop: float) -> str:
    """`" instead of 6"`, with its unit where that is another."""
    now, before = duration(taken), duration(loop)
    if now == before:
        return ""
    number, _, unit = before.removeprefix("about ").partition(" ")
    return f" instead of {number if unit and now.endswith(' ' + unit) else before.removeprefix('about ')}"


def _who(at: Placement) -> tuple[int, str]:
    """Who does the work, and how many of them."""
    width, workers = at.width or 1, at.workers or 1
    inner = {"threads": "thread", "loop": "coroutine"}.get(at.style, "")
    if at.place == "here":
        return width, plural(width, inner) + (" on one event loop" if at.style == "loop" else "")
    return workers, plural(workers, "worker") + (f" with {plural(width, inner)} each" if inner else "")


def why(evidence: Evidence | None, *, is_async: bool = False, cpu: float | None = None) -> str:
    """What kind of work the function is."""
    if is_async:
        waits = "" if cpu is None or cpu > 0.5 else " and mostly waits"
        return f"the function is async{waits}"
    if evidence is None:
        return ""
    if evidence.cpu_share < WAITS:
        return "the function mostly waits"
    if evidence.cpu_share < COMPUTES:
        return "the function waits and computes in turn"
    if holds_gil(evidence):
        return "the function computes in Python"
    return "the function computes in compiled code, which lets other threads run"


def evidence_in_words(evidence: Evidence | None, *, is_async: bool, lazy: str = "") -> str:
    """What was measured of the function before anything was tried."""
    if lazy:
        return f"{an(lazy)} function, so nothing was measured."
    if evidence is None:
        kind = "an async function" if is_async else "not run in this process"
        return f"{kind}, so nothing is predicted."
    share = f"{percent(evidence.cpu_share)} of it computing"
    held = "" if evidence.gil_held is None else f", the GIL held {percent(evidence.gil_held)} of the time"
    return f"{span(evidence.seconds)} an item (of {evidence.items:,} measured), {share}{held}."


def noise(models: Sequence[str], cores: int) -> str:
    """A word about figures that are too good to be true."""
    named = " and ".join(part for part in (", ".join(models[:-1]), models[-1]) if part)
    said = f"The figures of {named} are" if len(models) > 1 else f"The figure of {named} is"
    return f"{said} more than {plural(cores, 'core')} can do: the machine was busy meanwhile. Try again later."


def code(name: str, at: Placement, cores: int, options: Mapping[str, Any]) -> str:
    """The line to write.

    Parameters:
        name: the function's.
        cores: as many workers are the default, and are not spelled out.
        options: those that the user gave, to be kept. Of a value that is no literal the option's name stands for it.
    """
    parts = [f'model="{at.model}"']
    if at.place != "here" and at.workers not in (None, cores):
        parts.append(f"workers={at.workers}")
    if at.style != "serial" and at.width:
        parts.append(f"width={at.width}")
    for option, value in options.items():
        if option not in ("model", "workers", "width") and value is not None:
            plain = f"{value:g}" if isinstance(value, float) else repr(value)
            parts.append(f"{option}={plain if isinstance(value, str | int | float) else option}")
    return f"plait.map({name if name.isidentifier() else 'fn'}, items, {', '.join(parts)})"


def duration(seconds: float) -> str:
    """As a person says it: `"about 3 min"`."""
    if seconds < 1:
        return "under a second"
    for unit, size, until in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48), ("days", 86400, 1e9)):
        if round(seconds / size) < until:
            count = seconds / size
            shown = f"{count:.1f}".removesuffix(".0") if count < 3 else f"{count:,.0f}"
            return f"about {shown} {unit}"
    return "centuries"


def pace(rate: float) -> str:
    """`"1,550 items a second"`; slow ones by the minute or hour."""
    if rate >= 0.95:
        return f"{_count(rate)} items a second"
    if rate * 60 >= 0.95:
        return f"{_count(rate * 60)} items a minute"
    return f"{_count(rate * 3600)} items an hour"


def _count(rate: float) -> str:
    """With three figures that mean something."""
    if rate < 10:
        return f"{rate:.1f}"
    if rate < 1000:
        return f"{rate:.0f}"
    magnitude = 10 ** (len(str(int(rate))) - 3)
    return f"{round(rate / magnitude) * magnitude:,}"


def bytes_in_words(count: int) -> str:
    """`"61 MiB"`."""
    if count < 1 << 20:
        return f"{count >> 10} KiB" if count >= 1 << 10 else "0"
    return f"{count / (1 << 20):.0f} MiB" if count < 1 << 30 else f"{count / (1 << 30):.1f} GiB"


def an(thing: str) -> str:
    """With its article."""
    return f"{'an' if thing[:1] in 'aeiou' else 'a'} {thing}"


def plural(count: int, word: str) -> str:
    """A count of things."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")
