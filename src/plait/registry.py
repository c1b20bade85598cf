"""`Registry`: names to things, extendable by third parties through entry points.

A registry is an object: the global ones (`placement.models`, `places.places`, ...) are merely instances, and tests
make their own.
"""

from __future__ import annotations

import importlib
import threading
from typing import Any, Generic, TypeVar, cast

from plait.errors import OptionError, UnknownOption

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things, resolved when first asked for.

    Parameters:
        what: what the names stand for, for messages (`"model"`).
        group: the entry-point group in which installed packages may add to it.

    Concurrency: safe from any thread.
    """

    def __init__(self, what: str, *, group: str) -> None:
        self.what, self.group = what, group
        self._known: dict[str, T | str] = {}
        self._scanned = False
        self._lock = threading.Lock()

    def register(self, name: str, thing: T | str, *, replace: bool = False) -> None:
        """Add `thing`, or the `"module:attribute"` to import it from when it is first asked for.

        Raises:
            OptionError: the name is taken and `replace` is false.
        """
        with self._lock:
            if name in self._known and not replace:
                raise OptionError(
                    "name",
                    name,
                    f"that {self.what} is registered already; pass replace=True to replace it",
                )
            self._known[name] = thing

    def get(self, name: str) -> T:
        """The thing called `name`.

        Raises:
            UnknownOption: nothing is; the message lists the known names and the nearest.
        """
        found = self._known.get(name) if isinstance(name, str) else None
        if found is None:
            self._scan()
            found = self._known.get(name) if isinstance(name, str) else None
        if found is None:
            raise UnknownOption(self.what, name, self._known)
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            found = cast(T, getattr(importlib.import_module(module), attribute))
            self._known[name] = found
        return found

    def names(self) -> list[str]:
        """Every known name, those of installed packages included, sorted."""
        self._scan()
        return sorted(self._known)

    def _scan(self) -> None:
        with self._lock:  # held to the end: who comes second must not look before the names are there
            if self._scanned:
                return
            from importlib.metadata import (
                entry_points,
            )  # slow to import, and most programs never need it

            for entry in entry_points(group=self.group):
                self._known.setdefault(entry.name, cast(Any, entry.value))
            self._scanned = True
