"""`python -m benchmarks.run`: measure the rows of the issue's table, print them, and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import machine, report
from benchmarks.harness import Medians, Row, measure_row

#: In the order of the issue's table.
ROWS = (
    "serial",
    "processes",
    "threads",
    "coroutines",
    "roundtrip",
    "arrays",
    "startup",
    "memory",
    "imports",
    "closing",
)
COLOURS = {"met": "green", "missed": "red", "not measured": "yellow"}


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="NAME", help=f"of: {', '.join(ROWS)}")
    parser.add_argument("--runs", type=int, help="measurements of each engine (default 5; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it all work? The figures mean nothing")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the tables as Markdown")
    options = parser.parse_args(words)
    options.runs = options.runs or (1 if options.quick else 5)
    if options.runs < 1:
        parser.error("--runs takes a number from 1")
    return options


def measured(names: list[str], runs: int, quick: bool, console: Console) -> list[Medians]:
    """Measure row by row, showing each when it is done."""
    found = []
    with console.status("starting") as status:
        for name in names:
            row: Row = importlib.import_module(f"benchmarks.{name}").ROW
            found.append(measure_row(row, runs, quick, status.update))
            show_row(console, found[-1])
    return found


def show_row(console: Console, medians: Medians) -> None:
    """Every engine's figures; in brackets how many times plait's they are."""
    row = medians.row
    table = Table(title=f"{row.name}: {row.work} ({medians.size:,} items)", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("engine", no_wrap=True)
    for figure in row.figures:
        table.add_column(figure.unit, justify="right")
    table.add_column("notes", style="dim")
    for cells in report.engine_rows(medians):
        table.add_row(*map(Text, cells))
    console.print(table)


def show_verdicts(console: Console, found: list[Medians]) -> None:
    table = Table("row", "target", "as measured", title="Targets", title_justify="left", box=box.SIMPLE_HEAD)
    for medians in found:
        verdict = Text(report.verdict(medians))
        for word, colour in COLOURS.items():
            verdict.highlight_regex(rf"(?m)^{word}\b", colour)
        table.add_row(Text(medians.row.name), Text(medians.row.target), verdict)
    console.print(table)


def main(words: list[str]) -> int:
    """0 when everything asked for was measured, 1 when some target could not be judged (a missed one is a finding)."""
    options = arguments(words)
    console = Console()
    names = [name for name in ROWS if not options.only or name in options.only]
    load_before = machine.load()
    found = measured(names, options.runs, options.quick, console)
    session = report.Session(
        command=shlex.join(["python", "-m", "benchmarks.run", *words]),
        runs=options.runs,
        quick=options.quick,
        hardware=machine.hardware(),
        versions=machine.versions(),
        load_before=load_before,
        load_after=machine.load(),
    )
    show_verdicts(console, found)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(report.markdown(session, found, [name for name in ROWS if name not in names]))
        console.print(f"written: {options.write}", markup=False)
    return int(any(check.met is None for medians in found for check in medians.judged()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
