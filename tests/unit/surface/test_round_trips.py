"""What is written is what is read, whatever it is: by rows and by tables, through every format."""

import contextlib
import datetime
import decimal
import math

import hypothesis.strategies as some
import pytest
from hypothesis import HealthCheck, example, given, settings

from plait.surface import columns, decode, read, write
from plait.surface.tables import to_arrow, to_pandas

pyarrow = pytest.importorskip("pyarrow", reason="tables need pyarrow")

TEXT = some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)  # \0: Polars aborts
WHOLE = some.integers(-(2**53), 2**53)
FLOAT = some.floats(allow_nan=False)
TIME = some.datetimes()
SIMPLE = [
    WHOLE,
    FLOAT,
    some.booleans(),
    TEXT,
    some.binary(max_size=8),
    some.dates(),
    TIME,
    TIME.filter(lambda time: 1 < time.year < 9999).map(lambda time: time.replace(tzinfo=datetime.UTC)),
    some.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**6), max_value=10**6),
]
NESTED = [some.lists(WHOLE, max_size=3), some.lists(TEXT, max_size=3), some.fixed_dictionaries({"x": WHOLE, "y": TEXT})]
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inside: some.lists(inside, max_size=3) | some.dictionaries(TEXT, inside, max_size=3),
    max_leaves=6,
)


@some.composite
def rows(draw, kinds=(*SIMPLE, *NESTED), least=0):
    """Rows whose columns each hold values of one kind, or none."""
    kinds_of = draw(some.dictionaries(TEXT, some.sampled_from(kinds), min_size=1, max_size=4))
    row = some.fixed_dictionaries({name: some.none() | kind for name, kind in kinds_of.items()})
    return draw(some.lists(row, min_size=least, max_size=12))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("round")


often = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
groups = some.sampled_from([1, 3, 1000])


@contextlib.contextmanager
def in_groups(size):
    before, columns.GROUP_ROWS = columns.GROUP_ROWS, size
    try:
        yield
    finally:
        columns.GROUP_ROWS = before


def written(writer, things):
    with writer:
        for thing in things:
            writer.write(thing)
    return writer.path


@often
@given(rows(least=1), groups)
def test_rows_through_parquet(folder, rows, size):
    with in_groups(size):
        path = written(write.parquet(folder / "rows.parquet"), rows)
    assert list(read.parquet(path)) == rows


@often
@given(some.lists(JSON, max_size=8))
def test_values_through_jsonl(folder, values):
    assert list(read.jsonl(written(write.jsonl(folder / "rows.jsonl"), values))) == values


@often
@given(rows(kinds=[TEXT.filter(bool)], least=1))
@example([{"a": "\r\n", "b": '"'}, {"a": "\n", "b": ","}])
@example([{"a": None}])
def test_text_through_csv(folder, rows):
    path = written(write.csv(folder / "rows.csv"), rows)
    found = [{name: value or None for name, value in row.items()} for row in read.csv(path)]
    assert found == rows


@often
@given(rows(), groups)
def test_rows_through_a_table_and_a_source(rows, size):
    with in_groups(size):
        assert list(read.table(to_arrow(rows))) == rows


@often
@given(rows(least=1), some.integers(1, 5))
def test_a_table_through_batches_and_rows(rows, size):
    table = to_arrow(rows)
    assert to_arrow(read.table(table, batches=size)).equals(table)
    assert to_arrow(read.table(table), table.schema).equals(table)


@often
@given(rows(least=1), some.integers(1, 5))
def test_tables_make_the_file_that_rows_make(folder, rows, size):
    batches = list(read.table(to_arrow(rows), batches=size))
    parquet = written(write.parquet(folder / "batches.parquet"), batches)
    assert list(read.parquet(parquet)) == rows
    for make in (write.jsonl, write.csv):
        texts = []
        for things in (batches, list(read.table(to_arrow(rows)))):
            with open(written(make(folder / "text"), things), "rb") as file:
                texts.append(file.read())
        assert texts[0] == texts[1]


@often
@given(rows(least=1))
def test_through_polars(rows):
    polars = pytest.importorskip("polars", reason="DataFrames of Polars need it")
    frame = polars.from_arrow(to_arrow(rows))
    assert list(read.table(frame)) == frame.to_dicts()


@often
@given(rows(kinds=[WHOLE, FLOAT, TEXT, some.booleans()], least=1))
def test_through_pandas(rows):
    pytest.importorskip("pandas", reason="DataFrames of pandas need it")
    assert list(read.table(to_pandas(rows))) == rows


KINDS = [
    pyarrow.timestamp("s"),
    pyarrow.timestamp("ms", "Europe/Paris"),
    pyarrow.timestamp("us"),
    pyarrow.date32(),
    pyarrow.time64("us"),
    pyarrow.duration("us"),
    pyarrow.uint64(),
    pyarrow.float32(),
    pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
    pyarrow.dictionary(pyarrow.int8(), pyarrow.timestamp("us")),
]


@often
@given(some.sampled_from(KINDS), some.data(), some.integers(0, 3))
def test_decoding_gives_what_to_pylist_gives(kind, data, start):
    value = some.none()
    if pyarrow.types.is_dictionary(kind):
        value |= TEXT if pyarrow.types.is_string(kind.value_type) else TIME
    elif pyarrow.types.is_timestamp(kind) or pyarrow.types.is_date(kind):
        value |= TIME.filter(lambda time: 1 < time.year < 9999) if pyarrow.types.is_timestamp(kind) else some.dates()
    elif pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind):
        value |= some.integers(0, 2**20)
    else:
        longest = datetime.timedelta(microseconds=2**63 - 1)  # that Arrow can hold
        value |= some.times() if pyarrow.types.is_time(kind) else some.timedeltas(-longest, longest)
    values = data.draw(some.lists(value, max_size=6))
    if kind.equals(pyarrow.timestamp("s")) or kind.equals(KINDS[1]):
        values = [None if value is None else value.replace(microsecond=0) for value in values]
    array = pyarrow.array(values, kind.value_type).dictionary_encode() if hasattr(kind, "value_type") else None
    array = pyarrow.array(values, kind) if array is None else array
    batch = pyarrow.record_batch([array], names=["a"]).slice(start)
    found = list(decode.rows_of(batch, "here"))
    assert found == batch.to_pylist()
    assert [type(row["a"]) for row in found] == [type(row["a"]) for row in batch.to_pylist()]
    zones = [[getattr(row["a"], "utcoffset", lambda: None)() for row in rows] for rows in (found, batch.to_pylist())]
    assert zones[0] == zones[1]


def test_a_date_beyond_pythons_years_fails_as_it_does_there():
    batch = pyarrow.record_batch([pyarrow.array([2**60], pyarrow.timestamp("us"))], names=["a"])
    for read_it in (batch.to_pylist, lambda: list(decode.rows_of(batch, "here"))):
        with pytest.raises((ValueError, OverflowError)):
            read_it()


def test_what_json_has_no_word_for_is_null(folder):
    values = [math.nan, math.inf, decimal.Decimal("0.10")]
    assert list(read.jsonl(written(write.jsonl(folder / "n.jsonl"), values))) == [None, None, "0.10"]
