"""`check_apart`: input, output, list of failures and journal are files of their own: seen before anything is run."""

from __future__ import annotations

import os

from plait.cli.flags import FlagError
from plait.cli.outputs import beside, is_file

__all__ = ["check_apart"]


def check_apart(output: str | None, source: str | None, failures: str | None, journal: str | None, kept: bool) -> None:
    """See that failures can be listed, and that no file would be two things.

    Parameters:
        output, failures: as given; `None`: there is none.
        source: the file that the items come from.
        journal: where it lies.
        kept: whether the journal was named, and lies not beside the output.

    Raises:
        FlagError: it is not so.
    """
    _check(f"-o {output} is", output, {"INPUT": source})  # where items fail, their inputs would be gone
    if kept:
        _check(f"--journal {journal} is", journal, {"OUT": output, "INPUT": source})
    listed, others = beside(output, failures), {"OUT": output, "INPUT": source, "the journal": journal}
    if not failures:
        _check(f"-o {output} has its failures listed in {listed}, which is", listed, others)
        return
    _check(f"--failures {failures} is", failures, others)
    if os.path.isdir(failures):
        raise FlagError(f"--failures {failures}", "is a folder", f"name a file in it, {failures}/failures.jsonl")
    folder = os.path.dirname(failures)
    if folder and not os.path.isdir(folder):
        remedy = f"make it first, mkdir -p {folder}"
        raise FlagError(f"--failures {failures}", "is in a folder that is not there", remedy)


def _check(said: str, path: str | None, others: dict[str, str | None]) -> None:
    for what, other in others.items():
        if _same(path, other):
            raise FlagError(said, f"{what}, too", "name another file")


def _same(path: str | None, other: str | None) -> bool:
    if path is None or other is None or "-" in (path, other) or not is_file(path):
        return False  # what goes to a pipe or device takes no other's place
    try:
        return os.path.samefile(path, other)
    except OSError:  # one of them is not there yet
        return os.path.realpath(path) == os.path.realpath(other)
