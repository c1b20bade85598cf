"""Flags: the error for those that cannot be used, and the library's words in terms of them."""

from __future__ import annotations

import re

from plait.errors import PlaitError

__all__ = ["FlagError", "in_flags"]

_CODEC = r"(P|p)ass journal=plait\.Journal\(.*codec='(\w+)'\)"


class FlagError(PlaitError, ValueError):
    """A flag cannot be used so, or not without another."""

    def __init__(self, flag: str, why: str, remedy: str) -> None:
        self.flag, self.why, self.remedy = flag, why, remedy
        super().__init__(f"{flag} {why}: {remedy}.")


def in_flags(said: object) -> str:
    """What the library says to those who write Python, for those who write a command."""
    text = str(said)
    if re.search(_CODEC, text):
        text = re.sub(_CODEC, _codec, text)
        text = text.replace("name another file", "begin anew with --restart")
    text = text.replace("delete the file (`plait map` has --restart for that)", "give --restart")
    return text.replace(": see run.failures.", ".").replace(" The failures so far are in run.failures.", "")


def _codec(found: re.Match[str]) -> str:
    """The flag for the codec of a journal that there is (`Pass ...`), or of another in its place (`or pass ...`)."""
    return f"Give --journal-codec {found[2]}" if found[1] == "P" else f"give --journal-codec {found[2]} --restart"
