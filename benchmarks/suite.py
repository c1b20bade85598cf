"""`Suite`: rows in a folder of their own, the command that measures them, the results that it keeps, and their page."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine
from benchmarks.harness import Medians, Row, measure_row
from benchmarks.report import HEAD, detail, markdown_table, summary_row
from benchmarks.run import show_row, show_verdicts

__all__ = ["Results", "Suite", "main", "markdown"]


@dataclass(frozen=True)
class Suite:
    """What the suites differ in.

    Attributes:
        folder: of this package, where a module of each name has its row. about: what the command's help says.
        names: in the order of the table of targets. preface: of the page; `machine` and `versions` are filled in.
        versions: of all that is measured. sized: what the page calls the size of a row.
    """

    folder: str
    about: str
    names: tuple[str, ...]
    preface: str
    versions: Callable[[], dict[str, str]]
    sized: str

    def row(self, name: str) -> Row:
        """The row of that name, and with it its cells."""
        found: Row = importlib.import_module(f"benchmarks.{self.folder}.{name}").ROW
        return found

    def plain(self, row: Row) -> str:
        """A row's name within the suite."""
        return row.name.removeprefix(f"{self.folder}.")


class Results:
    """What was measured, in a JSON file: a session replaces the rows that it measures and keeps the others.

    Parameters:
        file: read where it exists. `None`: kept in memory only.
    """

    def __init__(self, suite: Suite, file: Path | None) -> None:
        self.suite, self.file = suite, file
        known = json.loads(file.read_text()) if file is not None and file.exists() else {}
        self.data: dict[str, Any] = {"rows": {}, **known}
        self.data |= {"machine": machine.hardware(), "versions": suite.versions()}

    def keep(self, medians: Medians, command: str, load: str) -> None:
        """Add a row, with the command and the load average that it was measured under, and save."""
        figures = {"size": medians.size, "runs": medians.runs, "notes": medians.notes}
        self.data["rows"][self.suite.plain(medians.row)] = {"command": command, "load": load, **figures}
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            beside = self.file.with_name(self.file.name + ".part")
            beside.write_text(json.dumps(self.data, indent=1))
            os.replace(beside, self.file)

    def measured(self) -> list[Medians]:
        """Every row that is known, as it was measured."""
        rows = self.data["rows"]
        return [_medians(self.suite.row(name), rows[name]) for name in self.suite.names if name in rows]

    def absent(self) -> list[str]:
        return [name for name in self.suite.names if name not in self.data["rows"]]


def _medians(row: Row, known: dict[str, Any]) -> Medians:
    # A cell may be newer than the results.
    runs = {name: known["runs"].get(name, []) for name in row.cells}
    notes = {name: known["notes"].get(name, []) for name in row.cells}
    return Medians(row, runs, notes, known["size"])


# --- the page -------------------------------------------------------------------------------------------------------


def section(results: Results, medians: Medians) -> Iterator[str]:
    """A row's own part of the page."""
    suite, work = results.suite, medians.row.work
    name = suite.plain(medians.row)
    known = results.data["rows"][name]
    yield f"## {name}\n"
    yield f"{work[0].upper()}{work[1:]}. {suite.sized}: {medians.size:,}. Load average before: {known['load']}.\n"
    yield f"`{known['command']}`\n"
    yield markdown_table(*detail(medians)) + "\n"


def markdown(results: Results) -> str:
    """The whole document: targets and verdicts first, then every row with all that was measured."""
    data, measured = results.data, results.measured()
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    parts = [results.suite.preface.format(machine=data["machine"], versions=versions)]
    if results.absent():
        parts.append(f"Not measured: {', '.join(results.absent())}.\n")
    if any(medians.size != medians.row.size for medians in measured):
        parts.append(
            "**Some rows are smoke tests (`--quick`): their sizes are too small for the figures to mean anything.**\n"
        )
    parts += ["## Targets\n", markdown_table(HEAD, map(summary_row, measured)) + "\n"]
    for medians in measured:
        parts += section(results, medians)
    return "\n".join(parts).rstrip() + "\n"


# --- the command ----------------------------------------------------------------------------------------------------


def arguments(suite: Suite, words: list[str]) -> argparse.Namespace:
    names = suite.names
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{suite.folder}", description=suite.about)
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of: {', '.join(names)}")
    parser.add_argument("--runs", type=int, help="measurements of each engine (default 3; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it all work? The figures mean nothing")
    parser.add_argument("--results", type=Path, metavar="FILE.json", help="keep what is measured, beside what is there")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the page from all results")
    options = parser.parse_args(words)
    options.runs = options.runs or (1 if options.quick else 3)
    if options.runs < 1:
        parser.error("--runs takes a number from 1")
    return options


def main(suite: Suite, words: list[str]) -> int:
    """0 when everything asked for was measured, 1 when some target could not be judged (a missed one is a finding)."""
    options = arguments(suite, words)
    os.environ["PLAIT_CACHE"] = "off"  # nothing is known of a function from earlier runs
    console, results = Console(), Results(suite, options.results)
    shown = (Path(word).name if "/" in word else word for word in words)  # the page names no folder of this machine
    command = shlex.join(["python", "-m", f"benchmarks.{suite.folder}", *shown])
    found = []
    with console.status("starting") as status:
        for name in (name for name in suite.names if not options.only or name in options.only):
            load = machine.load()
            found.append(measure_row(suite.row(name), options.runs, options.quick, status.update))
            results.keep(found[-1], command, load)
            show_row(console, found[-1])
    show_verdicts(console, found)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(markdown(results))
        console.print(f"written: {options.write}", markup=False)
    return int(any(check.met is None for medians in found for check in medians.judged()))
