"""`python -m benchmarks.jobs`: measure the durable queue beside its peers, and write docs/jobs-benchmarks.md."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import machine
from benchmarks.harness import end_descendants, measure_row
from benchmarks.jobs.page import markdown
from benchmarks.jobs.results import NAMES, Results, row_of
from benchmarks.run import show_row, show_verdicts


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--runs", type=int, help="measurements of each engine (default 3; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it all work? The figures mean nothing")
    parser.add_argument("--results", type=Path, metavar="FILE.json", help="keep what is measured, beside what is there")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the page from all results")
    options = parser.parse_args(words)
    options.runs = options.runs or (1 if options.quick else 3)
    if options.runs < 1:
        parser.error("--runs takes a number from 1")
    return options


def main(words: list[str]) -> int:
    """0 when everything asked for was measured, 1 when some target could not be judged (a missed one is a finding)."""
    options = arguments(words)
    os.environ["PLAIT_CACHE"] = "off"  # nothing is known of a function from earlier runs
    console, results = Console(), Results(options.results)
    shown = (Path(word).name if "/" in word else word for word in words)  # the page names no folder of this machine
    command = shlex.join(["python", "-m", "benchmarks.jobs", *shown])
    found = []
    with console.status("starting") as status:
        for name in (name for name in NAMES if not options.only or name in options.only):
            load = machine.load()
            found.append(measure_row(row_of(name), options.runs, options.quick, status.update))
            results.keep(found[-1], command, load)
            show_row(console, found[-1])
    show_verdicts(console, found)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(markdown(results))
        console.print(f"written: {options.write}", markup=False)
    return int(any(check.met is None for medians in found for check in medians.judged()))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    # Interrupted, too: no server, no worker and no file stays behind.
    with tempfile.TemporaryDirectory(prefix="plait-bench-", ignore_cleanup_errors=True) as kept:
        Path(kept).chmod(0o755)  # PostgreSQL may run as somebody else
        os.environ["TMPDIR"] = tempfile.tempdir = kept
        try:
            sys.exit(main(sys.argv[1:]))
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            end_descendants()
