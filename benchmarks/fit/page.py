"""The same tables for the terminal (rich) and for docs/fit.md (Markdown)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from benchmarks.fit.judge import Line, Target, lines, targets
from benchmarks.fit.results import Results
from benchmarks.report import markdown_table

__all__ = ["HEAD", "TARGET_HEAD", "markdown", "row", "target_row"]

TARGET_HEAD = ("target", "asked", "measured", "verdict")
HEAD = ("workload", "oracle", "oracle s", "auto s", "ratio", "auto chose")
FULL_HEAD = (*HEAD, "same model", "decided")
PEER_HEAD = ("workload", "fastest peer", "its s", "auto s", "ratio", "the others")
GRID_HEAD = ("placement", "s", "CPU s", "")

PREFACE = """# How well `auto` chooses

Generated from measurements by the command below: do not edit. How it is measured: `benchmarks/fit/README.md`.

- Commands: {commands}
- Machine: {machine}
- Versions: {versions}
- Version of plait's code (a hash): {code}
- *Oracle*: the best of a grid of placements picked by hand. *Ratio*: the oracle's time over that of \
`plait.map(fn, items)` with no options, median over {rounds} rounds in which they took turns, every run in a fresh \
process. Above 1, auto is better; a choice that is as good as the oracle's scores about 1.
"""


def number(value: float | None, form: str = "{:.2f}") -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None else form.format(value)


def verdict(met: bool | None) -> str:
    return {True: "met", False: "missed", None: "not measured"}[met]


def target_row(target: Target) -> tuple[str, ...]:
    return target.what, target.asked, target.figure, verdict(target.met)


def most_frequent(line: Line) -> str:
    """The placement that auto ended with most often."""
    return Counter(line.placements).most_common(1)[0][0] if line.placements else "-"


def row(line: Line) -> tuple[str, ...]:
    """A workload's line; why there are no figures, where there are none."""
    if line.skipped:
        return line.name, f"skipped: {line.skipped}", "-", "-", "-", "-"
    figures = number(line.oracle_seconds, "{:.3f}"), number(line.auto_seconds, "{:.3f}"), number(line.ratio)
    return line.name, line.oracle or "-", *figures, f"WRONG: {line.wrong}" if line.wrong else most_frequent(line)


def full_row(line: Line) -> tuple[str, ...]:
    runs = sum(line.chosen.values())
    same = f"{max(line.chosen.values())} of {runs}" if runs else "-"
    return *row(line), same, "-" if line.decided is None else f"{line.decided * 1000:.0f} ms"


def peer_row(line: Line) -> tuple[str, ...]:
    others = [f"{name} {seconds:.3f}" for name, seconds in line.peers.items() if name != line.peer]
    others += [f"{name}: {why}" for name, why in line.dropped.items()]
    seconds = number(line.peers[line.peer], "{:.3f}") if line.peer else "-"
    against = number(line.against_peer)
    return line.name, line.peer or "none", seconds, number(line.auto_seconds, "{:.3f}"), against, "; ".join(others)


def grid_rows(line: Line) -> Iterator[tuple[str, ...]]:
    """The grid, the best first, then those without a figure."""
    for name, cell in sorted(line.grid.items(), key=lambda pair: min(pair[1]["seconds"], default=1e9)):
        if cell["seconds"]:
            mark = "the oracle" if name == line.oracle else ""
            yield name, f"{min(cell['seconds']):.3f}", f"{cell['cpu']:.2f}", mark
        else:
            yield name, "-", "-", cell.get("note", "")


def moves(changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The changes on the way in words: a model at a time, with the widths that it went through."""
    for number, (model, group) in enumerate(groupby(changes, key=itemgetter("model"))):
        steps = list(group)
        widths = [str(width) for width, _ in groupby(step.get("width") for step in steps)]
        if len(widths) > 12:
            widths = [*widths[:6], "...", *widths[-5:]]
        text = f"{model} at {steps[0]['at'] * 1000:.0f} ms"
        if len(widths) > 1:
            text += f", width {' '.join(widths)} by {steps[-1]['at'] * 1000:.0f} ms"
        # The first reasons are told already.
        reasons = steps[0].get("reasons", ()) if number else ()
        yield text + (f" ({'; '.join(reasons)})" if reasons else "")


def section(line: Line) -> Iterator[str]:
    """A workload's own section: what it is, what auto said, the grid."""
    yield f"### {line.name}\n"
    yield f"{line.what[0].upper()}{line.what[1:]}. {line.items:,} items.\n"
    if line.skipped:
        yield f"Skipped: {line.skipped}.\n"
        return
    if line.reasons:
        yield f"- Auto: {most_frequent(line)}, because " + "; ".join(line.reasons) + "."
    if len(line.changes) > 1:
        yield "- On the way: " + "; ".join(moves(line.changes)) + "."
    if len(set(line.placements)) > 1:
        yield f"- In its {len(line.placements)} rounds: " + ", ".join(line.placements) + "."
    if len(line.chosen) > 1:
        yield "- Models over all runs: " + ", ".join(f"{model} {count}x" for model, count in line.chosen.items()) + "."
    yield ""
    yield markdown_table(GRID_HEAD, grid_rows(line)) + "\n"


def markdown(results: Results) -> str:
    """The whole document."""
    quiet, load = lines(results.workloads, "quiet"), lines(results.workloads, "load")
    data: dict[str, Any] = results.data
    parts = [
        PREFACE.format(
            commands="; ".join(f"`{command}`" for command in data["commands"]),
            machine=data.get("machine", "unknown"),
            versions=", ".join(f"{name} {version}" for name, version in data.get("versions", {}).items()),
            code=", ".join(sorted({line.code for line in (*quiet, *load) if line.code})) or "nothing was measured",
            rounds="/".join(map(str, sorted({line.rounds for line in (*quiet, *load) if line.rounds}))) or "0",
        )
    ]
    parts += ["## Targets\n", markdown_table(TARGET_HEAD, map(target_row, targets(quiet, load))), ""]
    if quiet:
        parts += ["## Against the oracle\n", markdown_table(FULL_HEAD, map(full_row, quiet)), ""]
    if load:
        parts += ["## With another process burning one core\n", markdown_table(HEAD, map(row, load)), ""]
    if any(line.peers or line.dropped for line in quiet):
        told = "Peers have their defaults; *ratio* is the fastest one's time over auto's.\n"
        with_peers = [line for line in quiet if line.peers or line.dropped]
        parts += ["## Against peers\n", told, markdown_table(PEER_HEAD, map(peer_row, with_peers)), ""]
    parts += ["## Workload by workload\n", *(text for line in quiet or load for text in section(line))]
    return "\n".join(parts).rstrip() + "\n"
