"""What was measured, in a JSON file, as the flows' results are kept."""

from __future__ import annotations

import importlib
from pathlib import Path

from benchmarks import machine
from benchmarks.flow import results as flow_results
from benchmarks.harness import Medians, Row
from benchmarks.jobs import servers

__all__ = ["NAMES", "PREFIX", "Results", "row_of"]

#: In the order of the table of targets.
NAMES = ("drain", "postgres", "enqueue", "latency", "mixed", "crowd", "recovery")
PREFIX = "jobs."
VERSIONS = (
    *("plait", "apsw", "psycopg", "uvloop", "huey", "rq", "dramatiq", "celery", "taskiq", "taskiq-redis", "saq"),
    *("redis", "pgqueuer", "asyncpg", "procrastinate"),
)


def row_of(name: str) -> Row:
    """The row of that name, and with it its cells."""
    row: Row = importlib.import_module(f"benchmarks.{PREFIX}{name}").ROW
    return row


class Results(flow_results.Results):
    """Those of the rows here."""

    def __init__(self, file: Path | None) -> None:
        super().__init__(file)
        self.data |= {"versions": servers.versions() | machine.versions(VERSIONS)}

    def measured(self) -> list[Medians]:
        """Every row that is known, as it was measured."""
        rows = self.data["rows"]
        return [self._medians(row_of(name), rows[PREFIX + name]) for name in NAMES if PREFIX + name in rows]

    def absent(self) -> list[str]:
        return [name for name in NAMES if PREFIX + name not in self.data["rows"]]
