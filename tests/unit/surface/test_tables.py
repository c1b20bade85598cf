"""Results as one table: what is a row, which types grow into which, and what is said when they do not."""

import collections
import dataclasses
import datetime
import decimal
import tracemalloc

import numpy
import pytest

from plait.failure import Failure
from plait.surface import columns
from plait.surface.tables import Misfit, to_arrow, to_pandas, to_polars

pyarrow = pytest.importorskip("pyarrow", reason="tables need pyarrow")

D = decimal.Decimal
DAY = datetime.date(2024, 2, 29)
UTC_NOON = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)
NOON = UTC_NOON.replace(tzinfo=None)


@dataclasses.dataclass
class Point:
    x: int
    y: float


Pair = collections.namedtuple("Pair", "left right")


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas", reason="DataFrames of pandas need it")


@pytest.fixture
def polars():
    return pytest.importorskip("polars", reason="DataFrames of Polars need it")


@pytest.fixture(params=[1, 2, 32_768], ids="groups of {}".format)
def grouped(request, monkeypatch):
    """What holds does so wherever groups of rows end."""
    monkeypatch.setattr(columns, "GROUP_ROWS", request.param)


def column(results, name="value"):
    return to_arrow(results)[name]


class TestWhatIsARow:
    def test_dicts_have_the_columns_of_all_rows(self, grouped):
        table = to_arrow([{"a": 1}, {"b": "x"}, {"a": 3, "b": None}])
        assert table.to_pydict() == {"a": [1, None, 3], "b": [None, "x", None]}

    @pytest.mark.parametrize("later", [[{"a": 1}], [pyarrow.table({"a": [1]})]], ids=["rows", "table"])
    def test_rows_without_columns_are_null_in_those_that_come(self, later, grouped):
        table = to_arrow([{}, {}, {}, {}, *later, {}])
        assert table.to_pydict() == {"a": [None, None, None, None, 1, None]}

    def test_rows_none_of_which_has_a_column_are_refused(self, grouped):
        with pytest.raises(Misfit, match=r"row 1: it has no columns, and no other row has any. Name at least one"):
            to_arrow([{}, {}, {}])

    def test_a_schema_has_the_columns_of_rows_without(self, grouped):
        schema = pyarrow.schema({"a": pyarrow.int8()})
        assert to_arrow([{}, {}, {}], schema).to_pydict() == {"a": [None] * 3}

    def test_dataclasses_and_named_tuples(self):
        assert to_arrow([Point(1, 2.5), Point(3, 4.0)]).to_pydict() == {"x": [1, 3], "y": [2.5, 4.0]}
        assert to_arrow([Pair(1, "a")]).to_pydict() == {"left": [1], "right": ["a"]}

    @pytest.mark.parametrize("results", [[1, None, 3], ["a", "b"], [[1, 2], []], [(1, 2)], [NOON], [None]])
    def test_anything_else_is_a_value(self, results, grouped):
        found = [list(value) if isinstance(value, tuple) else value for value in results]
        assert to_arrow(results).to_pydict() == {"value": found}

    def test_numpy_values_become_numbers(self):
        table = to_arrow([{"n": numpy.int8(1), "when": numpy.datetime64("2024-02-29T12", "ns")}])
        assert table.to_pylist() == [{"n": 1, "when": NOON}]

    def test_arrays_keep_their_type_and_become_no_python_numbers(self):
        found = column([numpy.ones(3, numpy.float32), numpy.zeros(2, numpy.float32)])
        assert found.type == pyarrow.list_(pyarrow.float32())
        assert column([numpy.ones((2, 2))]).to_pylist() == [[[1.0, 1.0], [1.0, 1.0]]]

    def test_a_row_that_is_filled_anew_is_not_the_next(self):
        def rows():
            row = {"n": 0, "l": [], "d": {}}
            for n in range(3):
                row["n"] = row["d"]["n"] = n
                row["l"].append(n)
                yield row

        assert [row["l"] for row in to_arrow(rows()).to_pylist()] == [[0], [0, 1], [0, 1, 2]]
        assert [(row["n"], row["d"]["n"]) for row in to_arrow(rows()).to_pylist()] == [(0, 0), (1, 1), (2, 2)]

    @pytest.mark.parametrize(
        ("results", "why"),
        [
            ([1, {"a": 1}], r"row 2: its result, of type dict, names columns, those before did not"),
            ([{"a": 1}, {"a": 2}, None], r"row 3: its result, of type NoneType, names no columns, those before did"),
            ([{"a": 1}, {2: 1}], r"row 2: names of columns are text, and 2 is not"),
            ([1, object()], r"row 2: a value of type object"),
            ([{"a": 1}, Failure(7, 1, "f", 1, ValueError(), "")], r'row 2: it is a Failure.*on_error="skip"'),
        ],
    )
    def test_kinds_do_not_mix(self, results, why, grouped):
        with pytest.raises(Misfit, match=why):
            to_arrow(results)

    def test_no_results_are_a_table(self):
        assert to_arrow([]).num_rows == 0
        assert to_arrow([], pyarrow.schema([("a", pyarrow.int8())])).schema.names == ["a"]


GROWS = [
    ([None, None, 1], pyarrow.int64(), None),
    ([1, 2, 2.5], pyarrow.float64(), [1.0, 2.0, 2.5]),
    ([2.5, None, 1], pyarrow.float64(), [2.5, None, 1.0]),
    ([[], None, ["x"]], pyarrow.list_(pyarrow.string()), None),
    ([[1], [0.5]], pyarrow.list_(pyarrow.float64()), [[1.0], [0.5]]),
    ([D("1.5"), D("100.25"), 7], pyarrow.decimal128(21, 2), [D("1.50"), D("100.25"), D("7.00")]),
    ([UTC_NOON] * 2, pyarrow.timestamp("us", "UTC"), None),
    ([b"x", None, b""], pyarrow.binary(), None),
    ([True, None], pyarrow.bool_(), None),
]


class TestTypes:
    @pytest.mark.parametrize(("results", "kind", "stored"), GROWS, ids=str)
    def test_grow_to_hold_every_value(self, results, kind, stored, grouped):
        found = column(results)
        if not pyarrow.types.is_decimal(kind):  # Arrow finds the fewest digits that will do for those it sees at once
            assert found.type == kind
        assert found.to_pylist() == (results if stored is None else stored)

    def test_parts_of_structs_are_added(self, grouped):
        rows = [{"s": {"x": 1}}, {"s": None}, {"s": {"x": 1.5, "y": ["a"]}}, {"s": {}}]
        stored = [{"x": 1.0, "y": None}, None, {"x": 1.5, "y": ["a"]}, {"x": None, "y": None}]
        assert column(rows, "s").to_pylist() == stored

    @pytest.mark.parametrize(
        ("results", "place", "why"),
        [
            ([1, None, "three"], 3, r"'three' \(str\) does not fit the rows before it, of type int64"),
            (["a", 2], 2, r"2 \(int\) does not fit .* of type string"),
            ([True, 1], 2, r"1 \(int\) does not fit .* of type bool"),
            ([1, True], 2, r"True \(bool\) does not fit"),
            (["a", b"b"], 2, r"of type string"),
            ([DAY, NOON], 2, r"of type date32"),
            ([NOON, UTC_NOON], 2, r"of type timestamp\[us\]"),
            ([[1], [2], ["x"]], 3, r"\['x'\] \(list\) does not fit"),
            ([{"p": [DAY]}, {"p": [NOON]}], 2, r"of type list<"),
            ([{"p": {"q": "a"}}, {"p": {"q": b"b"}}], 2, r"of type struct<"),
            ([1.5, D("2.5")], 2, r"of type double"),
            ([2**60 + 1, 2, 0.5], (1, 3), r"double"),
            ([0.5, 2**60 + 1], 2, r"of type double"),
            ([2**70], 1, r"1180591620717411303424 cannot be stored"),
            ([None, 2**70], 2, r"1180591620717411303424 cannot be stored"),
            ([[1, "x"]], 1, r"\[1, 'x'\] cannot be stored"),
        ],
        ids=str,
    )
    def test_what_does_not_fit_is_named_by_row_and_column(self, results, place, why, grouped):
        with pytest.raises(Misfit, match=why) as caught:
            to_arrow(results)
        assert caught.value.row in (place if isinstance(place, tuple) else (place,))
        assert caught.value.column in ("value", "p")
        assert isinstance(caught.value, TypeError)

    def test_the_first_of_several_is_named(self):
        with pytest.raises(Misfit, match="row 2, column 'b'"):
            to_arrow([{"a": 1, "b": 1}, {"a": 1, "b": "x"}, {"a": "y", "b": 1}])

    def test_a_schema_is_kept_to(self, grouped):
        schema = pyarrow.schema([("a", pyarrow.uint8()), ("b", pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))])
        table = to_arrow([{"b": "x"}, {"a": 255}, {"b": "x", "a": None}], schema)
        assert table.schema == schema
        assert table.to_pydict() == {"a": [None, 255, None], "b": ["x", None, "x"]}

    @pytest.mark.parametrize(
        ("row", "why"),
        [
            ({"a": 256}, r"row 2, column 'a': 256 \(int\) does not fit the schema's uint8"),
            ({"c": 1}, r"row 2, column 'c': the schema has no such column"),
        ],
    )
    def test_and_what_does_not_fit_it_named(self, row, why, grouped):
        with pytest.raises(Misfit, match=why):
            to_arrow([{"a": 1}, row], pyarrow.schema([("a", pyarrow.uint8())]))


class TestTablesAsResults:
    def test_are_put_together_without_a_copy(self):
        batches = pyarrow.table({"n": [1, 2, 3]}).to_batches(max_chunksize=2)
        found = to_arrow(batches)["n"]
        assert found.to_pylist() == [1, 2, 3]
        for batch, chunk in zip(batches, found.chunks, strict=True):
            assert chunk.buffers()[1].address == batch["n"].buffers()[1].address

    def test_of_every_library_and_rows_between_them(self, pandas, polars):
        results = [
            pyarrow.table({"n": [1], "t": ["arrow"]}),
            {"n": 2, "t": "row"},
            pandas.DataFrame({"n": [3], "t": ["pandas"]}),
            polars.DataFrame({"t": ["polars"], "n": [4]}),
            pyarrow.table({"n": [5]}).to_reader(),
        ]
        table = to_arrow(results)
        assert table.to_pydict() == {"n": [1, 2, 3, 4, 5], "t": ["arrow", "row", "pandas", "polars", None]}

    def test_their_types_grow_too(self, polars):
        words = polars.DataFrame({"w": polars.Series(["x"], dtype=polars.Categorical)})
        assert column([words, {"w": "y"}], "w").to_pylist() == ["x", "y"]
        assert column([pyarrow.table({"w": [1]}), pyarrow.table({"w": [0.5]})], "w").to_pylist() == [1.0, 0.5]

    def test_those_that_do_not_fit_are_named(self):
        with pytest.raises(Misfit, match=r"row 3, column 'n': its type has changed: string now, int64 before"):
            to_arrow([pyarrow.table({"n": [1, 2]}), pyarrow.table({"n": ["x"]})])

    def test_so_is_the_row_that_is_too_large_for_the_type_that_follows(self):
        with pytest.raises(Misfit, match=r"row 2, column 'n': 9007199254740993 \(int64\) does not fit double"):
            to_arrow([pyarrow.table({"n": [1, 2**53 + 1]}), pyarrow.table({"n": [0.5]})])

    def test_one_without_rows_still_tells_the_columns(self, pandas, polars):
        for empty in (pandas.DataFrame({"a": [1]}).iloc[:0], polars.DataFrame({"a": [1]}).clear()):
            assert to_arrow([empty]).schema.names == ["a"]

    def test_one_schema_for_all(self):
        schema = pyarrow.schema([("n", pyarrow.int8()), ("m", pyarrow.string())])
        assert to_arrow([pyarrow.table({"n": [1]})], schema).to_pylist() == [{"n": 1, "m": None}]
        with pytest.raises(Misfit, match=r"row 1, column 'x': there is no such column in the schema"):
            to_arrow([pyarrow.table({"x": [1]})], schema)


class TestOtherLibraries:
    def test_pandas(self, pandas):
        frame = to_pandas([{"n": 1, "t": "x"}, {"n": 2, "t": None}])
        assert frame["n"].tolist() == [1, 2]
        assert frame["t"].isna().tolist() == [False, True]
        frame.loc[0, "n"] = 9
        assert isinstance(to_pandas([]), pandas.DataFrame)

    def test_polars(self, polars):
        frame = to_polars([{"n": 1, "t": "x"}, {"n": 2, "t": None}])
        assert frame.to_dicts() == [{"n": 1, "t": "x"}, {"n": 2, "t": None}]
        assert to_polars([]).shape == (0, 0)

    @pytest.mark.parametrize(("make", "name"), [(to_pandas, "pandas"), (to_polars, "polars")])
    def test_one_that_is_not_there_is_told(self, make, name, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, name, None)
        with pytest.raises(ImportError) as caught:
            make([])
        assert f"pip install {name}" in caught.value.__notes__[0]


def test_memory_is_about_the_tables(monkeypatch):
    monkeypatch.setattr(columns, "GROUP_ROWS", 1000)
    tracemalloc.start()
    try:
        table = to_arrow({"n": n, "t": f"{n:050}"} for n in range(50_000))  # 30 MB as Python objects
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    assert table.num_rows == 50_000
