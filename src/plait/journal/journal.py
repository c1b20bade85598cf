"""`Journal`: where a run remembers what it has finished, and in which form."""

from __future__ import annotations

import os
from dataclasses import dataclass

from plait.errors import OptionError, nearest

__all__ = ["CODECS", "Journal"]

#: The forms in which results can be kept.
CODECS = ("msgpack", "json", "pickle")


@dataclass(frozen=True, slots=True)
class Journal:
    """A file that remembers the results of finished items; what `journal=` takes besides a plain path.

    Parameters:
        path: an SQLite file, made when it is not there. While it is in use, `<path>.lock` and SQLite's own `-wal` and
            `-shm` files lie beside it; the first stays.
        codec: the form of the results. `"msgpack"` holds `None`, booleans, integers of 64 bits, floats, text, bytes,
            lists and dicts; `"json"` the same without bytes, NaN and infinities, and with text as keys only, but with
            integers of any size; a result that it would change is refused. `"pickle"` holds nearly everything.

    **Caution**: reading a pickle runs code of its writer's choosing. Open journals with `codec="pickle"` only when you
    know who wrote them; a journal is never read as pickle without these words.
    """

    path: str | os.PathLike[str]
    codec: str = "msgpack"

    def __post_init__(self) -> None:
        wants = "it takes the path of a file (which is made when it is not there)"
        if not isinstance(self.path, str | os.PathLike):
            raise OptionError("journal", self.path, wants)
        name = os.fspath(self.path)
        if not isinstance(name, str) or not name or "\0" in name or name == ":memory:":
            raise OptionError("journal", self.path, wants)
        if self.codec not in CODECS:
            known = ", ".join(map(repr, CODECS))
            raise OptionError("codec", self.codec, f"it takes one of {known}{nearest(str(self.codec), CODECS)[:-1]}")
