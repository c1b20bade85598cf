"""`python -m benchmarks.flow`: measure flows beside what people do today, and write docs/flow-benchmarks.md."""

from __future__ import annotations

import sys
from functools import partial

from benchmarks import machine
from benchmarks.suite import Suite, main

__all__ = ["SUITE"]

PREFACE = """# Flows, measured

Generated from measurements by the commands below: do not edit. How it is measured: `benchmarks/README.md`, "Flows".

- Machine: {machine}
- Versions: {versions}
- Every measurement in a fresh process, engines taking turns; medians, in brackets the least and the greatest run.
- Ratio: the peer's figure over plait's, so above 1 plait is better.
"""
VERSIONS = ("plait", "pypeln", "streamable", "joblib", "uvloop", "cloudpickle", "psutil")
SUITE = Suite(
    folder="flow",
    about=__doc__ or "",
    names=("scrape", "split", "noops", "journal", "retries", "rates", "endless"),
    preface=PREFACE,
    versions=partial(machine.versions, VERSIONS),
    sized="Items",
)

if __name__ == "__main__":
    sys.exit(main(SUITE, sys.argv[1:]))
