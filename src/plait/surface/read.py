"""Sources: lines, JSONL, CSV, Parquet and file names, read lazily and in flat memory.

Each function checks at the call that its input is there and returns a `Source`: an iterable that opens the file anew
for every iteration. Files that end in `.gz` are decompressed on the way; `"-"` is standard input.
"""

from __future__ import annotations

import codecs
import csv as _csv
import glob
import gzip
import json
import os
import sys
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

from plait.errors import MissingExtra, OptionError
from plait.surface.folders import files
from plait.surface.source import ReadError, Source, missing

__all__ = ["ReadError", "Source", "csv", "files", "format_of", "jsonl", "lines", "parquet"]

Path = str | os.PathLike[str]

FORMATS = {
    "lines": (".txt", ".log"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "csv": (".csv", ".tsv"),
    "parquet": (".parquet", ".pq"),
    "files": (),
}
#: Files up to this size are counted, which takes some 20 ms; larger ones are estimated from their first block.
COUNTED_BYTES = 64 << 20
BLOCK = 1 << 20


def lines(path: Path, *, encoding: str = "utf-8") -> Source[str]:
    """The lines of a text file, without their newline.

    Raises:
        ReadError: there is no such file; while iterating: a line is not text in `encoding`.
    """
    name = _checked(path, encoding)
    return Source(name, "lines", lambda: (text for _, text in _numbered(name, encoding)), lambda: _count_lines(name))


def jsonl(path: Path, *, encoding: str = "utf-8") -> Source[Any]:
    """The values of a file with one JSON value a line; blank lines are passed over.

    Raises:
        ReadError: there is no such file; while iterating: a line is not JSON, with its number.
    """
    name = _checked(path, encoding)
    return Source(name, "jsonl", lambda: _json_values(name, encoding), lambda: _count_lines(name))


def csv(path: Path, *, delimiter: str | None = None, encoding: str = "utf-8") -> Source[dict[str, str | None]]:
    """The rows of a CSV file as dicts of text, keyed by its first line.

    A row that is too short has `None` in the columns that it misses; quoted fields may hold newlines.

    Parameters:
        delimiter: what is between fields; by default a tab for `.tsv`, else a comma.

    Raises:
        ReadError: there is no such file; while iterating: a row is longer than the header, or is not CSV.
    """
    name = _checked(path, encoding)
    mark = delimiter or ("\t" if _suffix(name) == ".tsv" else ",")
    if len(mark) != 1:
        raise OptionError("delimiter", delimiter, "it takes one character")
    return Source(name, "csv", lambda: _csv_rows(name, mark, encoding), lambda: _count_lines(name, headers=1))


def parquet(path: Path, *, columns: list[str] | None = None) -> Source[dict[str, Any]]:
    """The rows of a Parquet file as dicts, decoded a batch at a time.

    Parameters:
        columns: read these only; the others are not even decoded.

    Raises:
        MissingExtra: pyarrow is not installed.
        ReadError: there is no such file, or it is not Parquet.
    """
    name = _checked(path, "utf-8")
    if name == "-":
        raise ReadError(name, None, "Parquet cannot be read from a pipe: its index is at its end", "Give a file.")
    try:
        import pyarrow.parquet  # noqa: F401  heavy, and of an extra
    except ImportError as error:
        raise MissingExtra("Reading Parquet", "pyarrow", "parquet") from error
    return Source(
        name, "parquet", lambda: _parquet_rows(name, columns), lambda: int(_open_parquet(name).metadata.num_rows)
    )


def format_of(path: Path) -> str:
    """The format that an input's name tells: `"files"` for a folder or glob, `"lines"` where nothing tells more."""
    name = os.fspath(path)
    if name != "-" and (os.path.isdir(name) or (glob.has_magic(name) and not os.path.exists(name))):
        return "files"
    return next((format for format, suffixes in FORMATS.items() if _suffix(name) in suffixes), "lines")


def _suffix(name: str) -> str:
    return os.path.splitext(name.lower().removesuffix(".gz"))[1]


def _checked(path: Path, encoding: str) -> str:
    """`path` as text, if it is there, is a file and `encoding` keeps newlines as one byte."""
    try:
        if codecs.encode("\n", encoding) != b"\n":
            raise OptionError("encoding", encoding, "its lines cannot be told apart; convert the file with iconv first")
    except LookupError:
        raise OptionError("encoding", encoding, 'Python knows none of that name; try "utf-8" or "latin-1"') from None
    name = os.fspath(path)
    if name == "-":
        return name
    if os.path.isdir(name):
        raise ReadError(name, None, "this is a folder", "plait.read.files() gives the paths of the files in it.")
    if not os.path.exists(name):
        raise missing(name)
    return name


def _open(name: str) -> IO[bytes]:
    if name != "-":
        return cast(IO[bytes], gzip.open(name)) if name.lower().endswith(".gz") else open(name, "rb")
    try:
        # A reader of our own: a thread that waits in sys.stdin's would hold its lock when the interpreter ends.
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except (OSError, AttributeError, ValueError):
        return sys.stdin.buffer


def _numbered(name: str, encoding: str, *, ends: bool = False) -> Iterator[tuple[int, str]]:
    """Each line with its number from 1; decoded one by one, so that an error can name its line."""
    number = 0
    try:
        with _open(name) as stream:
            for number, raw in enumerate(stream, 1):
                text = raw.decode(encoding)
                if number == 1:
                    text = text.removeprefix("\ufeff")
                yield number, text if ends else text.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        why = f"byte {error.start + 1} of the line (0x{error.object[error.start]:02x}) is not {encoding}"
        raise ReadError(name, number, why, 'Name the encoding, for example encoding="latin-1".') from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        remedy = "Is the file complete? gzip -t tells."
        raise ReadError(name, number + 1, f"the compressed data is broken: {error}", remedy) from None
    except OSError as error:
        raise ReadError(name, None, f"it cannot be read: {error.strerror or error}", "") from None


def _json_values(name: str, encoding: str) -> Iterator[Any]:
    for number, text in _numbered(name, encoding):
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
    reader = _csv.reader((text for _, text in _numbered(name, encoding, ends=True)), delimiter=delimiter, strict=True)
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


def _open_parquet(name: str) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(name, memory_map=True, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise ReadError(name, None, f"this is not Parquet: {error}", "Name its real format.") from None


def _parquet_rows(name: str, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    with _open_parquet(name) as table:
        absent = [column for column in columns or () if column not in table.schema_arrow.names]
        if absent:
            names = table.schema_arrow.names
            raise ReadError(name, None, f"it has no column {absent[0]!r}", f"It has: {', '.join(names)}.")
        # Batches hold few rows when rows are wide: as Python objects they take several times what Arrow takes.
        meta = table.metadata
        wide = sum(meta.row_group(g).total_byte_size for g in range(meta.num_row_groups)) // max(1, meta.num_rows)
        for batch in table.iter_batches(batch_size=max(1, min(4096, (4 << 20) // max(1, wide))), columns=columns):
            yield from batch.to_pylist()


def _count_lines(name: str, headers: int = 0) -> int | None:
    """Counted in a small file, estimated from the first block of a large one, unknown of a pipe or a `.gz`."""
    if name == "-" or name.lower().endswith(".gz") or not os.path.isfile(name):
        return None
    size, count, last = os.path.getsize(name), 0, b""
    with open(name, "rb", buffering=0) as stream:
        while block := stream.read(BLOCK):
            count, last = count + block.count(b"\n"), block[-1:]
            if size > COUNTED_BYTES:
                return max(1, round(count * size / len(block)))
    return max(0, count + (last not in (b"", b"\n")) - headers)
