"""A report in words: what was chosen and why, what changed, how it went, what would help."""

from __future__ import annotations

from collections.abc import Iterator

from plait.engine.figures import Change, Figures
from plait.fit.reasons import percent, rate_words
from plait.placement import Placement

__all__ = ["bytes_", "described", "explain", "joined", "plural", "rate_", "seconds"]

#: Share of an item's time above which pickling is worth a word.
HEAVY = 0.25


def explain(figures: Figures) -> str:
    """The lines of `run.report.explain()`."""
    if figures.placement is None:
        return f"{figures.stage}: nothing was run yet."
    rate = figures.finished / figures.wall if figures.wall else 0.0
    lines = [f"{figures.stage}: {described(figures.placement)}, because {joined(figures.reasons)}."]
    lines += _changes(figures)
    lines.append(f"{plural(figures.finished, 'item')} in {seconds(figures.wall)} ({rate_(rate)}).")
    if figures.failures:
        lines.append(f"{plural(figures.failures, 'failure')}: see run.failures.")
    lines += [line for line in (_trouble(figures), _moved(figures), _pickling(figures), _bottleneck(figures)) if line]
    return "\n".join(lines)


def _changes(figures: Figures) -> Iterator[str]:
    """What it ran under before, and when that changed; changes of the width in one line for each placement."""
    moves = figures.moves
    if len(moves) < 2:
        return
    chosen = [at for at, change in enumerate(moves) if not change.resized]
    for at, end in zip(chosen, [*chosen[1:], len(moves)], strict=True):
        change = moves[at]
        if len(chosen) > 1:
            why = "" if change.reasons == figures.reasons else f": {joined(change.reasons)}"
            yield f"At {seconds(change.at)}: {described(change.placement)}{why}."
        if resized := moves[at + 1 : end]:
            yield _widths(change, resized)


def _widths(first: Change, resized: list[Change]) -> str:
    widths = [change.placement.width or 1 for change in resized]
    last, began = resized[-1], first.placement.width or 1
    when = f"until {seconds(last.at)}" if len(resized) > 1 else f"at {seconds(last.at)}"
    changes = f"{plural(len(resized), 'change')} {when}; the last: {joined(last.reasons)}"
    tried = f", after {max(widths)} was tried" if max(widths) > widths[-1] else ""
    if began == widths[-1]:
        tried = tried or (f", after {min(widths)} was tried" if min(widths) < began else "")
        return f"Its width is {began} as in the beginning{tried} ({changes})."
    return f"Its width went from {began} to {widths[-1]}{tried} ({changes})."


def _trouble(figures: Figures) -> str:
    parts = [
        plural(count, word)
        for count, word in (
            (figures.retries, "retry"),
            (figures.crashes, "crashed worker"),
            (figures.timeouts, "timeout"),
            (figures.refused_late, "late result"),
            (figures.recycled, "recycled worker"),
        )
        if count
    ]
    said = [f"On the way: {', '.join(parts)}."] if parts else []
    if figures.stayed:
        said.append(f"{plural(figures.stayed, 'item')} ran in this process: they, or their results, could not travel.")
    return " ".join(said)


def _moved(figures: Figures) -> str:
    if not figures.bytes_out + figures.bytes_in:
        return ""
    there, back = bytes_(figures.bytes_out), bytes_(figures.bytes_in)
    memory = f"; the workers took up to {bytes_(figures.peak_memory)}" if figures.peak_memory else ""
    cpu = f"; the items took {seconds(figures.cpu)} of CPU" if figures.cpu else ""
    return f"{there} went to the workers and {back} came back{memory}{cpu}."


def _pickling(figures: Figures) -> str:
    """What sending costs beside the work itself, or what it kept the run from."""
    evidence, at = figures.evidence, figures.placement
    if evidence is None or at is None or not evidence.pickling:
        return ""
    share = evidence.pickling / (evidence.pickling + evidence.seconds_mean)
    if share < HEAVY or evidence.pickling < 2e-5:
        return ""
    there, back = evidence.bytes_in or 0.0, evidence.bytes_out or 0.0
    if back >= there:
        remedy = "return less, or write it where it is made and return its path"
    else:
        remedy = "pass a path or a range, and read it in the function"
    would = "is" if at.place != "here" else "in worker processes would be"
    weight = f"{bytes_(there)} there and {bytes_(back)} back for each item"
    return f"{percent(share)} of the time {would} pickling ({weight}): {remedy}."


def _bottleneck(figures: Figures) -> str:
    """Which of source, function and consumer was the slowest; of another stage in their place the flow says it."""
    at = figures.placement
    if at is None or figures.wall < 0.5 or not figures.busy or at.style == "loop" or len(figures.moves) > 1:
        return ""
    if at.place == "here" and at.style == "serial":
        return ""  # one after the other: each waits for the others, and it is not known how long
    slots = max(1, figures.seats) * (at.width or 1)
    busy = min(1.0, figures.busy / (slots * figures.wall))
    if busy >= 0.5:
        return f"The function was the bottleneck: its slots were busy {percent(busy)} of the time."
    if figures.paced:
        return f"rate= or limit= set the pace: the slots were busy {percent(busy)} of the time."
    if figures.read < 4 * slots:
        return ""  # fewer items than it takes to keep the slots busy
    if figures.waited < 0.2 * figures.wall:
        if figures.feeds:
            return ""
        share = figures.waited / figures.wall
        return f"The consumer was the bottleneck: it waited for results only {percent(share)} of the time."
    if figures.held < 0.2 * figures.wall and (figures.reading is None or figures.reading >= 0.2 * figures.wall):
        if figures.fed:
            return ""
        return (
            f"The source was the bottleneck: the slots were busy only {percent(busy)} of the time, waiting for items."
        )
    return f"The slots were busy only {percent(busy)} of the time: sending items and results took the rest."


def described(at: Placement) -> str:
    """A placement in words."""
    width = at.width or 1
    match (at.place, at.style):
        case ("here", "serial"):
            return "serial, in this process"
        case ("here", "threads"):
            return f"threads, {width} in this process"
        case ("here", _):
            return f"async, {width} at a time on one event loop"
        case (place, "serial"):
            return f"{place}, {plural(at.workers or 1, 'worker')}"
    return f"{at.model}, {plural(at.workers or 1, 'worker')} with {width} at a time each"


def joined(reasons: tuple[str, ...]) -> str:
    """Reasons as one sentence."""
    return "; ".join(reason.rstrip(".") for reason in reasons) or "nothing was measured"


def plural(count: int, word: str) -> str:
    """A count of things."""
    plural = {"retry": "retries"}.get(word, word + "s")
    return f"{count:,} {word if count == 1 else plural}"


def seconds(span: float) -> str:
    """A span of time."""
    if span < 0.001:
        return "under 1 ms"
    if span < 0.9995:
        return f"{span * 1000:.0f} ms"
    if span < 119.95:
        return f"{span:.1f} s"
    return f"{int(span // 60)} min {int(span % 60)} s"


def rate_(rate: float) -> str:
    """Items a second."""
    return rate_words(rate)


def bytes_(count: float) -> str:
    """An amount of memory."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
