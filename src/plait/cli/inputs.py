"""The INPUT of a command: read by the format given, or by its name's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plait.surface import read

__all__ = ["model_of", "source_of"]


def model_of(text: str) -> str | tuple[str, ...]:
    """What `--model` names: a model, or several with commas between."""
    names = [name.strip() for name in text.split(",")]
    return names[0] if len(names) == 1 else tuple(names)


def source_of(path: str, format: str | None, encoding: str) -> read.Source[Any]:
    """The items of `path`.

    Raises:
        ReadError: it is not there.
        OptionError: `encoding` is none.
    """
    format = format or read.format_of(path)
    if format in ("parquet", "files"):
        opener: Callable[..., read.Source[Any]] = read.parquet if format == "parquet" else read.files
        return opener(path)
    texts: dict[str, Callable[..., read.Source[Any]]]
    texts = {"lines": read.lines, "jsonl": read.jsonl, "csv": read.csv}
    return texts[format](path, encoding=encoding)
