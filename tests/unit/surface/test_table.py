"""Tables as sources: rows and batches of Arrow, pandas, Polars and whatever speaks the Arrow interface."""

import datetime
import pickle
import tracemalloc

import pytest

from plait.errors import MissingExtra, OptionError
from plait.surface import batches, read

pyarrow = pytest.importorskip("pyarrow", reason="tables need pyarrow")


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas", reason="DataFrames of pandas need it")


@pytest.fixture
def polars():
    return pytest.importorskip("polars", reason="DataFrames of Polars need it")


def numbers(count, **more):
    return pyarrow.table({"n": pyarrow.array(range(count), pyarrow.int64()), **more})


def address(column, place=1):
    """Where the first value of a column of 8 bytes lies."""
    chunk = column.chunk(0) if isinstance(column, pyarrow.ChunkedArray) else column
    return chunk.buffers()[place].address + 8 * chunk.offset


class Speaks:
    """Another library's table."""

    def __init__(self, table, **more):
        self._table = table
        self.__dict__.update(more)

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class SpeaksArray:
    def __init__(self, batch):
        self._batch = batch

    def __arrow_c_array__(self, requested_schema=None):
        return self._batch.__arrow_c_array__(requested_schema)


class TestRows:
    ROWS = ({"n": 1, "t": "x"}, {"n": None, "t": "y"})

    @pytest.fixture
    def table(self):
        return pyarrow.Table.from_pylist(list(self.ROWS))

    def kinds(self, table):
        import pyarrow.dataset as dataset

        return [table, table.to_batches()[0], table.to_reader(), dataset.dataset(table), Speaks(table)]

    def test_of_every_kind_of_arrow(self, table):
        for given in [*self.kinds(table), SpeaksArray(table.to_batches()[0])]:
            assert list(read.table(given)) == list(self.ROWS)

    def test_columns_are_those_asked_for_in_their_order(self, table):
        for given in self.kinds(table):
            assert [list(row) for row in read.table(given, columns=["t", "n"])] == [["t", "n"]] * 2

    def test_an_absent_column_is_told_with_those_that_are_there(self, table):
        for given in self.kinds(table):
            with pytest.raises(read.ReadError, match=r"no column 'x'\. It has: n, t"):
                list(read.table(given, columns=["x"]))

    def test_pandas(self, pandas):
        frame = pandas.DataFrame({"n": [1.5, float("nan")], "t": ["x", None], 3: [True, False]})
        source = read.table(frame)
        assert list(source) == list(source) == [{"n": 1.5, "t": "x", "3": True}, {"n": None, "t": None, "3": False}]
        assert source.total_hint() == 2
        assert repr(source) == "plait.read.table('pandas.DataFrame')"

    def test_polars(self, polars):
        day = datetime.date(2024, 2, 29)
        frame = polars.DataFrame({"n": [1, None], "t": ["x", "y"], "l": [[1], []], "d": [day, None]})
        frame = frame.with_columns(c=polars.Series(["u", "v"], dtype=polars.Categorical))
        source = read.table(frame)
        assert list(source) == frame.to_dicts()
        assert source.total_hint() == 2

    def test_an_index_with_a_name_is_a_column_another_is_left_out(self, pandas):
        frame = pandas.DataFrame({"a": [1, 2]}, index=pandas.Index(["x", "y"], name="key"))
        assert list(read.table(frame)) == [{"key": "x", "a": 1}, {"key": "y", "a": 2}]
        assert list(read.table(frame, columns=["a"])) == [{"a": 1}, {"a": 2}]
        assert list(read.table(frame.rename_axis(None))) == [{"a": 1}, {"a": 2}]
        levels = pandas.MultiIndex.from_tuples([(1, "p"), (2, "q")], names=["k", None])
        assert list(read.table(frame.set_index(levels))) == [{"k": 1, "a": 1}, {"k": 2, "a": 2}]

    def test_types_are_those_of_the_whole_column(self, pandas, monkeypatch):
        frame = pandas.DataFrame({"a": pandas.Series([1, 2, 2.5], dtype=object)})
        monkeypatch.setattr("plait.surface.table_source.BATCH_ROWS", 1)
        assert [type(row["a"]) for row in read.table(frame)] == [float] * 3

    def test_pandas_objects_that_arrow_cannot_hold_are_told_with_the_other_way(self, pandas):
        with pytest.raises(read.ReadError, match=r"Could not convert 'x'.*to_dict\('records'\)") as caught:
            list(read.table(pandas.DataFrame({"a": pandas.Series([1, "x"], dtype=object)})))
        assert str(caught.value).count("pandas.DataFrame") == 1

    @pytest.mark.parametrize("index", ["a", None])
    def test_two_columns_of_one_name_are_refused(self, pandas, index):
        frame = pandas.DataFrame([[1, 2]], columns=["a", "b" if index else "a"]).rename_axis(index)
        with pytest.raises(read.ReadError, match="2 columns 'a'"):
            read.table(frame)

    def test_nor_can_an_arrow_table_have_them_but_in_batches(self):
        table = pyarrow.table([[1], [2]], names=["a", "a"])
        with pytest.raises(read.ReadError, match=r"two columns 'a'.*in batches"):
            list(read.table(table))
        assert next(iter(read.table(table, batches=True))).num_columns == 2

    def test_a_reader_gives_its_rows_once(self):
        source = read.table(numbers(3).to_reader())
        assert source.total_hint() is None
        assert len(list(source)) == 3
        with pytest.raises(read.ReadError, match="once, and has been read"):
            list(source)

    @pytest.mark.parametrize("rows", [0, 1, 4097])
    def test_how_many_there_are_is_known(self, rows):
        assert read.table(numbers(rows)).total_hint() == rows == len(list(read.table(numbers(rows))))

    def test_of_a_dataset_too(self, tmp_path):
        import pyarrow.dataset as dataset
        import pyarrow.parquet

        pyarrow.parquet.write_table(numbers(7), tmp_path / "a.parquet")
        assert read.table(dataset.dataset(tmp_path)).total_hint() == 7

    def test_and_of_another_library_if_it_says_so(self):
        assert read.table(Speaks(numbers(2))).total_hint() is None
        assert read.table(Speaks(numbers(2), num_rows=2)).total_hint() == 2

    def test_a_table_without_columns_has_its_rows(self):
        assert list(read.table(numbers(2), columns=[])) == [{}, {}]

    def test_memory_is_flat(self):
        table = numbers(300_000, t=pyarrow.array(["some text"] * 300_000))
        tracemalloc.start()
        try:
            assert sum(row["n"] for row in read.table(table)) == sum(range(300_000))
            assert tracemalloc.get_traced_memory()[1] < 4_000_000
        finally:
            tracemalloc.stop()


class TestWhatIsNoTable:
    def test_a_column(self):
        with pytest.raises(read.ReadError, match="this is a column, not a table"):
            read.table(pyarrow.array([1]))

    def test_a_column_of_pandas_or_polars(self, pandas, polars):
        for column in (pandas.Series([1]), polars.Series([1])):
            with pytest.raises(read.ReadError, match="this is a column, not a table"):
                read.table(column)

    def test_a_query(self, polars):
        with pytest.raises(read.ReadError, match=r"polars.LazyFrame: .*not been computed yet.*\.collect\(\)"):
            read.table(polars.LazyFrame({"a": [1]}))

    def test_anything_else(self):
        with pytest.raises(read.ReadError, match=r"builtins\.list: this is no table.*DataFrame"):
            read.table([1])

    def test_what_breaks_when_it_is_asked(self):
        class Broken:
            def __arrow_c_stream__(self, requested_schema=None):
                raise RuntimeError("out of order")

        with pytest.raises(read.ReadError, match="RuntimeError: out of order"):
            list(read.table(Broken()))

    def test_without_pyarrow_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
        batches.needs_pyarrow.cache_clear()
        with pytest.raises(MissingExtra, match=r"plait\[parquet\]"):
            read.table({})


class TestBatches:
    def test_are_slices_that_share_the_tables_memory(self):
        table = numbers(10)
        found = list(read.table(table, batches=4))
        assert [batch.num_rows for batch in found] == [4, 4, 2]
        start = address(table["n"])
        assert [address(batch["n"]) for batch in found] == [start, start + 32, start + 64]

    def test_of_pandas_share_numbers(self, pandas):
        frame = pandas.DataFrame({"f": [0.5, 1.5, 2.5, 3.5], "t": ["a", "b", "c", "d"]})
        found = list(read.table(frame, batches=3))
        start = frame["f"].to_numpy().ctypes.data
        assert [address(batch["f"]) for batch in found] == [start, start + 24]
        assert [batch["t"].to_pylist() for batch in found] == [["a", "b", "c"], ["d"]]

    def test_of_polars_share_numbers(self, polars):
        frame = polars.DataFrame({"f": [0.5, 1.5, 2.5]})
        found = list(read.table(frame, batches=2))
        start = frame["f"].to_numpy(allow_copy=False).ctypes.data
        assert [address(batch["f"]) for batch in found] == [start, start + 16]

    def test_of_another_library_share_its_memory(self):
        table = numbers(3)
        assert address(next(iter(read.table(Speaks(table), batches=2)))["n"]) == address(table["n"])

    def test_end_where_the_table_s_own_pieces_end(self):
        table = pyarrow.concat_tables([numbers(5), numbers(0), numbers(1), numbers(4)])
        source = read.table(table, batches=3)
        assert [batch.num_rows for batch in source] == [3, 2, 1, 3, 1]
        assert source.total_hint() == 5

    def test_true_stands_for_a_usual_size(self):
        source = read.table(numbers(100_000), batches=True)
        assert [batch.num_rows for batch in source] == [65_536, 34_464]
        assert source.total_hint() == 2

    def test_of_a_dataset_and_a_reader(self):
        import pyarrow.dataset as dataset

        for given in (dataset.dataset(numbers(5)), numbers(5).to_reader()):
            assert [batch.num_rows for batch in read.table(given, batches=2, columns=["n"])] == [2, 2, 1]

    def test_their_count_is_known_of_pandas(self, pandas):
        assert read.table(pandas.DataFrame({"a": range(10)}), batches=4).total_hint() == 3

    @pytest.mark.parametrize("wrong", [0, -1, 2.5, "many"])
    def test_no_other_size_will_do(self, wrong):
        with pytest.raises(OptionError, match="batches"):
            read.table(numbers(1), batches=wrong)


class TestTravelling:
    """By itself pickle takes the table's whole memory along with every slice."""

    TEXT = "a text that is too long for a view to hold in place"

    @pytest.fixture
    def table(self):
        texts = [self.TEXT] * 20_000
        return numbers(
            20_000,
            text=pyarrow.array(texts),
            view=pyarrow.array(texts, pyarrow.string_view()),
            word=pyarrow.array(texts).dictionary_encode(),
            parts=pyarrow.array([[1, 2]] * 20_000),
            named=pyarrow.array([{"x": 1}] * 20_000),
            none=pyarrow.nulls(20_000),
        )

    def test_a_slice_takes_its_own_rows_along(self, table):
        for piece in (next(iter(read.table(table, batches=100))), table.slice(500, 100)):
            sent = pickle.dumps(piece, 5)
            assert len(sent) < 30_000
            assert pickle.loads(sent).equals(piece)

    def test_a_slice_of_nothing_but_views(self, table):
        piece = next(iter(read.table(table.select(["view"]), batches=100)))
        assert len(pickle.dumps(piece, 5)) < 15_000

    def test_what_is_whole_stays_as_it_is_apart_from_the_pickle(self):
        table = numbers(20_000)
        apart = []
        sent = pickle.dumps(table, 5, buffer_callback=apart.append)
        assert len(sent) < 2_000
        assert pickle.loads(sent, buffers=apart).equals(table)

    def test_it_can_be_read_where_plait_is_not(self, table, python, tmp_path):
        piece = next(iter(read.table(table, batches=3)))
        (tmp_path / "piece").write_bytes(pickle.dumps(piece))
        done = python(f"import pickle, sys\nprint(pickle.load(open({str(tmp_path / 'piece')!r}, 'rb')).num_rows)\n"
                      "assert 'plait' not in sys.modules")  # fmt: skip
        assert done.stdout == "3\n", done.stderr


class TestParquet:
    @pytest.fixture
    def folder(self, tmp_path):
        import pyarrow.parquet

        for name, start in (("b", 3), ("a", 0), ("deep/c", 6)):
            path = tmp_path / f"{name}.parquet"
            path.parent.mkdir(exist_ok=True)
            table = pyarrow.table({"n": [start, start + 1, start + 2], "t": ["x"] * 3})
            pyarrow.parquet.write_table(table, path)
        (tmp_path / "_SUCCESS").touch()
        (tmp_path / "d.parquet.partial").touch()
        return tmp_path

    def test_a_folder_is_all_its_files_in_order(self, folder):
        source = read.parquet(folder)
        assert [row["n"] for row in source] == list(range(9))
        assert source.total_hint() == 9

    def test_a_glob_is_those_that_match(self, folder):
        assert [row["n"] for row in read.parquet(f"{folder}/*.parquet", columns=["n"])] == list(range(6))

    def test_in_batches(self, folder):
        source = read.parquet(folder, batches=2, columns=["n"])
        assert [batch.to_pydict() for batch in source][:2] == [{"n": [0, 1]}, {"n": [2]}]
        assert source.total_hint() == len(list(source)) == 6
        assert [batch.num_rows for batch in read.parquet(folder / "a.parquet", batches=True)] == [3]

    def test_files_are_opened_when_their_turn_comes(self, folder):
        (folder / "deep" / "c.parquet").write_text("text")
        rows = iter(read.parquet(folder))
        assert [next(rows)["n"] for _ in range(6)] == list(range(6))
        with pytest.raises(read.ReadError, match=r"c\.parquet: this is not Parquet"):
            next(rows)

    def test_of_many_files_the_first_tell_how_many_rows_there_are(self, folder, monkeypatch):
        monkeypatch.setattr("plait.surface.parquet_source.COUNTED_FILES", 1)
        assert read.parquet(folder).total_hint() == 9

    def test_a_folder_without_any_says_so(self, folder):
        (folder / "deep" / "c.parquet").unlink()
        with pytest.raises(read.ReadError, match="there is no Parquet file in this folder"):
            read.parquet(folder / "deep")

    def test_a_file_that_is_cut_off_is_told(self, folder):
        path = folder / "a.parquet"
        path.write_bytes(path.read_bytes()[:4] + b"\0" * 40 + path.read_bytes()[44:])
        with pytest.raises(read.ReadError, match=r"a\.parquet: it cannot be read to its end"):
            list(read.parquet(path))

    def test_batches_of_wide_rows_are_smaller(self, tmp_path, monkeypatch):
        import pyarrow.parquet

        monkeypatch.setattr("plait.surface.parquet_source.BATCH_BYTES", 10_000)
        table = numbers(100, t=pyarrow.array([f"{n:0999}" for n in range(100)]))
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet", use_dictionary=False)
        source = read.parquet(tmp_path / "a.parquet", batches=True)
        sizes = {batch.num_rows for batch in source}
        assert max(sizes) < 20
        assert source.total_hint() == len(list(source))
