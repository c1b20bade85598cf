"""docs/flow-benchmarks.md: targets and verdicts first, then every row with all that was measured."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.flow.results import PREFIX, Results
from benchmarks.harness import Medians
from benchmarks.report import HEAD, detail, markdown_table, summary_row

__all__ = ["markdown"]

PREFACE = """# Flows, measured

Generated from measurements by the commands below: do not edit. How it is measured: `benchmarks/README.md`, "Flows".

- Machine: {machine}
- Versions: {versions}
- Every measurement in a fresh process, engines taking turns; medians, in brackets the least and the greatest run.
- Ratio: the peer's figure over plait's, so above 1 plait is better.
"""


def section(medians: Medians, command: str, load: str) -> Iterator[str]:
    """A row's own part of the page."""
    yield f"## {medians.row.name.removeprefix(PREFIX)}\n"
    work = medians.row.work
    yield f"{work[0].upper()}{work[1:]}. Items: {medians.size:,}. Load average before: {load}.\n"
    yield f"`{command}`\n"
    yield markdown_table(*detail(medians)) + "\n"


def markdown(results: Results) -> str:
    """The whole document."""
    data, measured = results.data, results.measured()
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    parts = [PREFACE.format(machine=data["machine"], versions=versions)]
    if results.absent():
        parts.append(f"Not measured: {', '.join(results.absent())}.\n")
    parts += ["## Targets\n", markdown_table(HEAD, map(summary_row, measured)) + "\n"]
    for medians in measured:
        known = data["rows"][medians.row.name.removeprefix(PREFIX)]
        parts += section(medians, known["command"], known["load"])
    return "\n".join(parts).rstrip() + "\n"
