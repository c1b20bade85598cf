"""The same tables for the terminal (rich) and for docs/benchmarks.md (Markdown)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.harness import Figure, Medians, NotMeasured

HEAD = ("what was measured", "plait", "peers (ratio to plait)", "target", "verdict")
DETAIL_HEAD = ("engine", "settings", "ratio", "wall s", "CPU s", "peak MB", "foreign cores", "runs")


@dataclass(frozen=True)
class Session:
    """How the figures came about."""

    command: str
    runs: int
    quick: bool
    hardware: str
    versions: dict[str, str]
    load_before: str
    load_after: str


def amount(value: float) -> str:
    """Three significant digits, no exponent."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def times(ratio: float) -> str:
    return "-" if math.isnan(ratio) else f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.0f}x"


def is_subject(cell: str) -> bool:
    return cell.startswith("plait")


def entry(medians: Medians, cell: str, figure: Figure) -> str:
    """One engine's figure, or why there is none."""
    if not medians.values(cell, figure.key):
        return f"{cell}: {'; '.join(medians.notes[cell]) or 'not measured'}"
    shown = f"{cell} {amount(medians.shown(cell, figure))}"
    ratio = medians.ratio_or_nan(cell, figure)
    return shown if is_subject(cell) or math.isnan(ratio) else f"{shown} ({times(ratio)})"


def summary_lines(medians: Medians, subject: bool) -> str:
    """For each figure a line with its unit and every engine that has it (or, at the first figure, why it has not)."""
    lines = []
    for place, figure in enumerate(medians.row.figures):
        cells = [cell for cell in medians.row.cells if is_subject(cell) == subject]
        entries = [entry(medians, cell, figure) for cell in cells if place == 0 or medians.values(cell, figure.key)]
        if entries:
            lines.append(f"{figure.unit}: " + "; ".join(entries))
    return "\n".join(lines)


def verdict(medians: Medians) -> str:
    """`met`, `missed` or `not measured`, and the figures that say so."""
    checks = medians.judged()
    states = [check.met for check in checks]
    word = "missed" if False in states else "not measured" if None in states or not states else "met"
    if len(checks) == 1:
        return f"{word}: {checks[0].text}"
    marks = {True: "met", False: "missed", None: "not measured"}
    return "\n".join([word, *(f"{marks[check.met]}: {check.text}" for check in checks)])


def summary_row(medians: Medians) -> tuple[str, ...]:
    row = medians.row
    reduced = "" if medians.size == row.size else f" [only {medians.size:,} items here]"
    parts = (summary_lines(medians, subject=True), summary_lines(medians, subject=False))
    return (row.work + reduced, *parts, row.target, verdict(medians))


def median_or_dash(medians: Medians, cell: str, key: str) -> str:
    try:
        return amount(medians.of(cell, key))
    except NotMeasured:
        return "-"


def spread(medians: Medians, cell: str, figure: Figure) -> str:
    """Median, and the least and the greatest of the runs."""
    values = medians.values(cell, figure.key)
    if not values:
        return "-"
    scale = medians.unit_scale(figure)
    low, high = (amount(value * scale) for value in (min(values), max(values)))
    return f"{amount(medians.shown(cell, figure))} ({low} to {high})"


def engine_rows(medians: Medians) -> list[tuple[str, ...]]:
    """For the terminal: each engine, its figures with their ratio to plait's, its notes."""
    rows = []
    for cell in medians.row.cells:
        shown = []
        for figure in medians.row.figures:
            ratio = medians.ratio_or_nan(cell, figure)
            text = amount(medians.shown(cell, figure)) if medians.values(cell, figure.key) else "-"
            shown.append(text if is_subject(cell) or math.isnan(ratio) else f"{text} ({times(ratio)})")
        rows.append((cell, *shown, "; ".join(medians.notes[cell])))
    return rows


def detail(medians: Medians) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of a row's own table: every engine with its settings and everything that was measured."""
    figures = medians.row.figures
    head = (*DETAIL_HEAD[:2], *(figure.unit for figure in figures), *DETAIL_HEAD[2:])
    rows = []
    for cell in medians.row.cells.values():
        notes = "; ".join(medians.notes[cell.name])
        rest = [median_or_dash(medians, cell.name, key) for key in ("wall", "cpu", "peak", "foreign")]
        rows.append(
            (
                cell.name,
                cell.settings + (f" [{notes}]" if notes else ""),
                *(spread(medians, cell.name, figure) for figure in figures),
                times(medians.ratio_or_nan(cell.name, figures[0])),
                *rest,
                str(len(medians.runs[cell.name])),
            )
        )
    return head, rows


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells) + " |"

    head = tuple(head)
    return "\n".join([line(head), line("---" for _ in head), *map(line, rows)])


PREFACE = """# Benchmarks

Generated by the command below: do not edit. What is measured and how: `benchmarks/README.md`.

- Command: `{command}`
- Machine: {hardware}
- Load average before: {load_before}; after: {load_after}
- Versions: {versions}
- Runs: medians of {runs} (more where a single measurement is short; the last column of each table says how many), \
every measurement in a fresh process, engines taking turns.
- Ratio: the peer's figure over plait's, so above 1 plait is better. Least and greatest of the runs in brackets.
"""


def markdown(session: Session, measured: list[Medians], absent: list[str]) -> str:
    """The whole document."""
    facts = {**vars(session), "versions": ", ".join(f"{name} {number}" for name, number in session.versions.items())}
    parts = [PREFACE.format(**facts)]
    if session.quick:
        parts.append("**A smoke test (`--quick`): sizes are far too small for the figures to mean anything.**\n")
    if absent:
        parts.append(f"Not measured in this session: {', '.join(absent)}.\n")
    parts += ["## Targets\n", markdown_table(HEAD, map(summary_row, measured)), ""]
    for medians in measured:
        parts += [f"## {medians.row.name}\n", f"{medians.row.work}. Items: {medians.size:,}.\n"]
        parts += [markdown_table(*detail(medians)), ""]
    return "\n".join(parts)
