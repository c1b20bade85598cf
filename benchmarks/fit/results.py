"""`Results`: everything that was measured, in a JSON file that a later session carries on from.

    {"machine", "versions", "commands", "workloads": {name: {"items", "quiet": {...}, "load": {...}}}}

A condition (`quiet`, or `load`: another process burns a core) holds `grid` (label -> spec, seconds, ...), `pairs` (the
rounds in which the oracle, auto and the peers took turns) and `stability` (the models that auto chose). A grid is kept
for good; rounds and models are those of one version of plait's code, and measured again for another.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import machine

__all__ = ["Results", "code_version"]


def code_version() -> str:
    """A short hash of the code of plait that is measured."""
    import plait

    folder = Path(plait.__file__).parent
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        found.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return found.hexdigest()[:12]


class Results:
    """Read from `file` where it exists, and saved to it whenever something was measured.

    Parameters:
        file: `None`: kept in memory only.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        known = json.loads(file.read_text()) if file is not None and file.exists() else {}
        self.data: dict[str, Any] = {"commands": [], "workloads": {}, **known}

    def session(self, command: str) -> None:
        """Note how what follows is measured."""
        self.data["machine"], self.data["versions"] = machine.hardware(), machine.versions()
        if command not in self.data["commands"]:
            self.data["commands"].append(command)

    def condition(self, name: str, items: int, condition: str) -> dict[str, Any]:
        """What is known of a workload of that size under `quiet` or `load`; empty where nothing is. To be changed."""
        entry = self.data["workloads"].setdefault(name, {"items": items})
        if entry["items"] != items:
            entry = self.data["workloads"][name] = {"items": items}
        return entry.setdefault(condition, {})

    @property
    def workloads(self) -> Mapping[str, dict[str, Any]]:
        """Name -> what is known of it."""
        return self.data["workloads"]

    def save(self) -> None:
        """Write the file, whole or not at all."""
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.file.with_name(self.file.name + ".part")
        beside.write_text(json.dumps(self.data, indent=1))
        os.replace(beside, self.file)
