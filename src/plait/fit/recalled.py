"""`Recalled`: what earlier runs learned of a function, and how it is written down and read with suspicion.

Fields are taken as the dataclasses have them: a file of an older or newer version is read for what both know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from plait.fit.evidence import Evidence
from plait.placement import Placement, placement_for

__all__ = ["READ", "WRITTEN", "Recalled", "parse", "text"]

FORMAT = 1
#: Bytes: what is written stays below the first; what is larger than the second is not read.
WRITTEN, READ = 2_048, 16_384
#: Seconds, bytes, counts beyond this were not measured.
ABSURD, MOST_WORKERS, MOST_WIDTH = 1e15, 4_096, 1_000_000
#: Annotations of the fields that are kept.
HELD = {"None", "bool", "int", "float", "str", "tuple[str, ...]", "tuple[int, ...]", "tuple[float, ...]"}


@dataclass(frozen=True, slots=True)
class Recalled:
    """What earlier runs learned of a function: a hint for the first second of the next, never proof.

    Parameters:
        evidence: what was measured.
        placement: where and how it ran at the end.
        rate: items a second that it reached there.
        runs: how many runs this comes from, at least 1.
    """

    evidence: Evidence
    placement: Placement
    rate: float
    runs: int = 1


def text(recalled: Recalled, key: str) -> bytes:
    """What a file holds: JSON of at most `WRITTEN` bytes, unless what is not notes is longer."""
    import json

    evidence = {name: getattr(recalled.evidence, name) for name in _fields(Evidence)}
    placement = {name: getattr(recalled.placement, name) for name in _fields(Placement)}
    whole = {
        "format": FORMAT,
        "key": key,
        "evidence": evidence,
        "placement": placement,
        "rate": recalled.rate,
        "runs": recalled.runs,
    }
    data = json.dumps(whole, separators=(",", ":")).encode()
    if len(data) > WRITTEN:  # notes are for people, and there may be many
        whole["evidence"] = {**evidence, "notes": ()}
        data = json.dumps(whole, separators=(",", ":")).encode()
    return data


def parse(data: bytes, key: str) -> Recalled | None:
    """What a file says; `None` where any of it is not what `text` would have written of a real run.

    **Guarantee**: never raises, whatever the bytes.
    """
    import json

    if len(data) > READ:
        return None
    try:
        whole = json.loads(data.decode())
        if whole["format"] != FORMAT or whole["key"] != key:
            return None
        evidence = Evidence(**_figures(Evidence, whole["evidence"]))
        placement = Placement(**_figures(Placement, whole["placement"]))
        placement_for(placement.model)  # raises where nobody registered it
        rate, runs = _figure("float", whole["rate"]), _figure("int", whole["runs"])
    except Exception:  # not JSON, not a table, too deep, a part is missing or absurd
        return None
    counts = evidence.items >= 1 and evidence.raised <= evidence.items and runs >= 1
    shares = evidence.cpu_share <= 1 and (evidence.gil_held or 0) <= 1
    bounds = (placement.workers or 1) <= MOST_WORKERS and (placement.width or 1) <= MOST_WIDTH
    return Recalled(evidence, placement, rate, runs) if counts and shares and bounds else None


def _fields(kind: type[Any]) -> dict[str, str]:
    """The fields of a dataclass that a file can hold, with their annotations; others take their defaults."""
    annotations = {one.name: str(one.type) for one in fields(kind)}
    return {name: annotation for name, annotation in annotations.items() if set(annotation.split(" | ")) <= HELD}


def _figures(kind: type[Any], table: dict[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass that are in a table; what else is there is of another version, and left out."""
    if type(table) is not dict:
        raise TypeError("not a table")
    return {name: _figure(annotation, table[name]) for name, annotation in _fields(kind).items() if name in table}


def _figure(annotation: str, value: Any) -> Any:
    """A value as its field's annotation wants it.

    Raises:
        TypeError, ValueError: it is none.
    """
    for kind in annotation.split(" | "):
        if kind.startswith("tuple[") and type(value) is list:
            return tuple(_figure(kind[len("tuple[") : -len(", ...]")], one) for one in value)
        if (kind == "None" and value is None) or (kind in ("bool", "str") and type(value).__name__ == kind):
            return value
        if (kind == "int" and type(value) is int) or (kind == "float" and type(value) in (int, float)):
            if not (math.isfinite(value) and 0 <= value <= ABSURD):
                raise ValueError("absurd")
            return float(value) if kind == "float" else value
    raise TypeError("of another type")
