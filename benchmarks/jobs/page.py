"""docs/jobs-benchmarks.md: targets and verdicts first, then every row with all that was measured."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.harness import Medians
from benchmarks.jobs.results import PREFIX, Results
from benchmarks.report import HEAD, detail, markdown_table, summary_row

__all__ = ["markdown"]

PREFACE = """# Jobs, measured

Generated from measurements by the commands below: do not edit. How it is measured: `benchmarks/README.md`, "Jobs".

- Machine: {machine}
- Versions: {versions}
- Every measurement in a fresh process with a fresh server, engines taking turns; medians, in brackets the least and \
the greatest run.
- Ratio: the peer's figure over plait's, so above 1 plait is better.
- Durability is not equal. Plait: SQLite with synchronous=FULL, PostgreSQL with its defaults: a job is on disk when \
`enqueue` returns. Redis: its defaults, snapshots now and then; a crash of it loses what was enqueued since the last.
"""


def section(medians: Medians, command: str, load: str) -> Iterator[str]:
    """A row's own part of the page."""
    yield f"## {medians.row.name.removeprefix(PREFIX)}\n"
    work = medians.row.work
    yield f"{work[0].upper()}{work[1:]}. Size: {medians.size:,}. Load average before: {load}.\n"
    yield f"`{command}`\n"
    yield markdown_table(*detail(medians)) + "\n"


def markdown(results: Results) -> str:
    """The whole document."""
    data, measured = results.data, results.measured()
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    parts = [PREFACE.format(machine=data["machine"], versions=versions)]
    if results.absent():
        parts.append(f"Not measured: {', '.join(results.absent())}.\n")
    if any(medians.size != medians.row.size for medians in measured):
        parts.append(
            "**Some rows are smoke tests (`--quick`): their sizes are too small for the figures to mean anything.**\n"
        )
    parts += ["## Targets\n", markdown_table(HEAD, map(summary_row, measured)) + "\n"]
    for medians in measured:
        known = data["rows"][medians.row.name]
        parts += section(medians, known["command"], known["load"])
    return "\n".join(parts).rstrip() + "\n"
