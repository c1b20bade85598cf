"""`python -m benchmarks.fit`: measure how well `auto` chooses, keep the results, write docs/fit.md."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.fit import page
from benchmarks.fit.judge import lines, targets
from benchmarks.fit.measure import Plan, measure
from benchmarks.fit.processes import loaded
from benchmarks.fit.results import Results
from benchmarks.fit.workloads import NAMES
from benchmarks.meter import adopt_orphans

COLOURS = {"met": "green", "missed": "red", "not measured": "yellow", "WRONG": "red"}


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--pairs", type=int, help="rounds of oracle and auto (default 5; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it all work? The figures mean nothing")
    parser.add_argument("--peers", action="store_true", help="peers take turns with the oracle and auto")
    parser.add_argument("--load", action="store_true", help="all of it while another process burns one core")
    parser.add_argument("--stability", type=int, default=0, metavar="N", help="see what auto chooses in N runs")
    parser.add_argument("--no-chunks", action="store_true", help="keep cells with a chunk size from being the oracle")
    parser.add_argument("--regrid", action="store_true", help="measure the grid anew, though the results have it")
    parser.add_argument("--again", action="store_true", help="and the rounds, though they are of the same code")
    parser.add_argument("--results", type=Path, metavar="FILE.json", help="carry on from these, and save to them")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the page from all results")
    options = parser.parse_args(words)
    if options.pairs is None:
        options.pairs = 1 if options.quick else 5
    if options.pairs < 0 or options.stability < 0:
        parser.error("--pairs and --stability take a number from 0")
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    return Plan(
        pairs=options.pairs,
        peers=options.peers,
        stability=options.stability,
        chunks=not options.no_chunks,
        quick=options.quick,
        regrid=options.regrid,
        again=options.again,
        condition="load" if options.load else "quiet",
    )


def show(console: Console, title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(*head, title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for cells in rows:
        texts = [Text(cell) for cell in cells]
        for word, colour in COLOURS.items():
            texts[-1].highlight_regex(rf"^{word}\b", colour)
        table.add_row(*texts)
    console.print(table)


def main(words: list[str]) -> int:
    """0 when everything asked for was measured; 1 when a workload gave no figure or a wrong answer."""
    options = arguments(words)
    console, plan, results = Console(), plan_of(options), Results(options.results)
    names = [name for name in NAMES if not options.only or name in options.only]
    shown = (Path(word).name if "/" in word else word for word in words)  # the page names no folder of this machine
    results.session(shlex.join(["python", "-m", "benchmarks.fit", *shown]))
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what ends the cell
    troubled = False
    with loaded(options.load), console.status("starting") as status:
        for name in names:
            why_not = measure(name, plan, results, status.update)
            line = next(line for line in lines(results.workloads, plan.condition) if line.name == name)
            troubled = troubled or bool(line.wrong) or (why_not is not None and not line.skipped)
            console.print("  ".join(page.row(line)) + (f"  [{why_not}]" if why_not else ""), markup=False)
    quiet, load = lines(results.workloads, "quiet"), lines(results.workloads, "load")
    show(console, "", page.HEAD, [page.row(line) for line in (load if options.load else quiet)])
    show(console, "Targets", page.TARGET_HEAD, [page.target_row(target) for target in targets(quiet, load)])
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(page.markdown(results))
        console.print(f"written: {options.write}", markup=False)
    return int(troubled)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
