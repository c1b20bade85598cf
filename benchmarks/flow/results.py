"""What was measured, in a JSON file: a session replaces the rows that it measures and keeps the others."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.harness import Medians, Row

__all__ = ["NAMES", "PREFIX", "Results", "row_of"]

#: In the order of the table of targets.
NAMES = ("scrape", "split", "noops", "journal", "retries", "rates", "endless")
PREFIX = "flow."
VERSIONS = ("plait", "pypeln", "streamable", "joblib", "uvloop", "cloudpickle", "psutil")


def row_of(name: str) -> Row:
    """The row of that name, and with it its cells."""
    row: Row = importlib.import_module(f"benchmarks.{PREFIX}{name}").ROW
    return row


class Results:
    """Read from `file` where it exists.

    Parameters:
        file: `None`: kept in memory only.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        known = json.loads(file.read_text()) if file is not None and file.exists() else {}
        self.data: dict[str, Any] = {"rows": {}, **known}
        self.data |= {"machine": machine.hardware(), "versions": machine.versions(VERSIONS)}

    def keep(self, medians: Medians, command: str, load: str) -> None:
        """Add a row, with the command and the load average that it was measured under, and save."""
        name = medians.row.name.removeprefix(PREFIX)
        figures = {"size": medians.size, "runs": medians.runs, "notes": medians.notes}
        self.data["rows"][name] = {"command": command, "load": load, **figures}
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            beside = self.file.with_name(self.file.name + ".part")
            beside.write_text(json.dumps(self.data, indent=1))
            os.replace(beside, self.file)

    def measured(self) -> list[Medians]:
        """Every row that is known, as it was measured."""
        rows = self.data["rows"]
        return [self._medians(row_of(name), rows[name]) for name in NAMES if name in rows]

    def absent(self) -> list[str]:
        return [name for name in NAMES if name not in self.data["rows"]]

    @staticmethod
    def _medians(row: Row, known: dict[str, Any]) -> Medians:
        # A cell may be newer than the results.
        runs = {name: known["runs"].get(name, []) for name in row.cells}
        notes = {name: known["notes"].get(name, []) for name in row.cells}
        return Medians(row, runs, notes, known["size"])
