"""While a command imports a user's module, no worker begins in there: it would run instead of the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["check_not_imported", "importing"]

_targets: list[str] = []


@contextmanager
def importing(target: str) -> Iterator[None]:
    """While entered, what is imported is what `target` names."""
    _targets.append(target)
    try:
        yield
    finally:
        _targets.pop()


def check_not_imported() -> None:
    """Refuse to begin a worker while a command imports its caller.

    Raises:
        RuntimeError: one does.
    """
    if _targets:
        raise RuntimeError(
            f"A worker was to begin while {_targets[-1]} was being imported, which a command does to find its tasks. "
            'Put what starts workers, enqueues jobs or waits for them under: if __name__ == "__main__":'
        )
