"""Text as every store takes it: what a user's exception says may hold what no database does."""

from __future__ import annotations

__all__ = ["storable"]


def storable(text: str) -> str:
    """The same without halves of surrogate pairs, and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
