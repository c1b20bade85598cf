"""Sources: lines, JSONL, CSV, Parquet, file names and tables, read lazily and in flat memory.

Each function checks at the call that its input is there and returns a `Source`: an iterable that opens the file anew
for every iteration. A glob stands for all files that match, one after the other in the order of their names. Files that
end in `.gz` are decompressed on the way; `"-"` is standard input.
"""

from __future__ import annotations

import codecs
import csv as _csv
import glob
import itertools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from plait.errors import OptionError
from plait.surface.folders import files, paths_of
from plait.surface.parquet_source import parquet
from plait.surface.source import ReadError, Source
from plait.surface.table_source import table
from plait.surface.textlines import check_stdin, count_lines, numbered

__all__ = ["ReadError", "Source", "csv", "files", "format_of", "jsonl", "lines", "parquet", "table"]

T = TypeVar("T")
Path = str | os.PathLike[str]

FORMATS = {
    "lines": (".txt", ".log"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "csv": (".csv", ".tsv"),
    "parquet": (".parquet", ".pq"),
    "files": (),
}


def lines(path: Path, *, encoding: str = "utf-8") -> Source[str]:
    """The lines of a text file, or of all that match a glob, without their newline.

    Raises:
        ReadError: there is no such file; while iterating: a line is not text in `encoding`.
    """
    encoding = _text_encoding(encoding)
    return _source("lines", path, lambda name: (text for _, text in numbered(name, encoding)))


def jsonl(path: Path, *, encoding: str = "utf-8") -> Source[Any]:
    """The values of a file (or all that match a glob) with one JSON value a line; blank lines are passed over.

    Raises:
        ReadError: there is no such file; while iterating: a line is not JSON, with its number.
    """
    encoding = _text_encoding(encoding)
    return _source("jsonl", path, lambda name: _json_values(name, encoding))


def csv(path: Path, *, delimiter: str | None = None, encoding: str = "utf-8") -> Source[dict[str, str | None]]:
    """The rows of a CSV file (or all that match a glob) as dicts of text, keyed by the file's first line.

    A row that is too short has `None` in the columns that it misses; quoted fields may hold newlines.

    Parameters:
        delimiter: what is between fields; by default a tab for `.tsv`, else a comma.

    Raises:
        ReadError: there is no such file; while iterating: a row is longer than the header, or is not CSV.
    """
    if delimiter is not None and len(delimiter) != 1:
        raise OptionError("delimiter", delimiter, "it takes one character")
    encoding = _text_encoding(encoding)

    def rows(name: str) -> Iterator[dict[str, str | None]]:
        return _csv_rows(name, delimiter or ("\t" if _suffix(name) == ".tsv" else ","), encoding)

    return _source("csv", path, rows, headers=1)


def format_of(path: Path) -> str:
    """The format that an input's name tells: `"files"` for a folder or glob, `"lines"` where nothing tells more."""
    name = os.fspath(path)
    if name != "-" and (os.path.isdir(name) or (glob.has_magic(name) and not os.path.exists(name))):
        return "files"
    return next((format for format, suffixes in FORMATS.items() if _suffix(name) in suffixes), "lines")


def _suffix(name: str) -> str:
    return os.path.splitext(name.lower().removesuffix(".gz"))[1]


def _text_encoding(name: str) -> str:
    """The encoding that is called so, if it is good for lines; a byte order mark is no part of them in any."""
    try:
        newline = "\n".encode(name)
    except (LookupError, ValueError):  # there is none; or it is one of bytes, as "hex"
        wants = 'Python knows no text encoding of that name; try "utf-8" or "latin-1"'
        raise OptionError("encoding", name, wants) from None
    if newline.removeprefix(codecs.BOM_UTF8) != b"\n":
        raise OptionError("encoding", name, "its lines cannot be told apart; convert the file with iconv first")
    return name if newline == b"\n" else "utf-8"  # "utf-8-sig" would take a mark from each line


def _source(format: str, path: Path, one: Callable[[str], Iterator[T]], headers: int = 0) -> Source[T]:
    """What `one` makes of each file that `path` stands for, if they are there."""
    name = os.fspath(path)
    if name == "-":
        check_stdin()
    names = [name] if name == "-" else paths_of(name)

    def rows() -> Iterator[T]:
        return one(names[0]) if len(names) == 1 else itertools.chain.from_iterable(map(one, names))

    return Source(name, format, rows, lambda: count_lines(names, headers))


def _json_values(name: str, encoding: str) -> Iterator[Any]:
    for number, text in numbered(name, encoding):
        if not text or text.isspace():
            continue
        try:
            value = json.loads(text)
        except ValueError as error:
            raise _bad_json(name, number, text, error) from None
        yield value


def _bad_json(name: str, number: int, text: str, error: ValueError) -> ReadError:
    at = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
    reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    shown = text if len(text) <= 60 else text[:57] + "..."
    remedy = 'Fix that line, or read the file as "lines" and parse it in your function: then a bad line costs one item.'
    if number == 1 and text.strip() in ("[", "{"):
        remedy = "This looks like one document over many lines; wanted is one value a line (jq -c '.[]' makes that)."
    return ReadError(name, number, f"this is not JSON: {reason}{at} in {shown!r}", remedy)


def _csv_rows(name: str, delimiter: str, encoding: str) -> Iterator[dict[str, str | None]]:
    reader = _csv.reader((text for _, text in numbered(name, encoding, ends=True)), delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        doubled = sorted({column for column in header if header.count(column) > 1})
        if doubled:
            raise ReadError(name, 1, f"the header names {doubled[0]!r} twice", "Rename one of the columns.")
        width = len(header)
        for row in reader:
            if len(row) > width:
                why = f"the row has {len(row)} fields, the header {width}"
                raise ReadError(name, reader.line_num, why, "Quote fields that hold the delimiter.")
            if row:
                row.extend([None] * (width - len(row)))  # type: ignore[list-item]
                yield dict(zip(header, row, strict=True))
    except _csv.Error as error:
        remedy = "csv.field_size_limit(n) allows longer fields." if "limit" in str(error) else "Check the quotes there."
        raise ReadError(name, reader.line_num, f"this is not CSV: {error}", remedy) from None
