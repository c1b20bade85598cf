import csv
import dataclasses
import datetime
import decimal
import enum
import gzip
import io
import json
import os
import pathlib
import uuid

import numpy
import pytest

from plait.surface import read, write


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Colour(enum.Enum):
    RED = "red"


def rows_of(path):
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def fail_after(path, *rows):
    with write.jsonl(path) as writer:
        for row in rows:
            writer.write(row)
        raise KeyError("x")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.jsonl"


class TestCompleteOrNotThere:
    def test_the_name_appears_at_the_end_only(self, out):
        with write.jsonl(out) as writer:
            writer.write(1)
            assert not out.exists()
            assert os.path.exists(writer.partial)
        assert rows_of(out) == [1]
        assert os.listdir(out.parent) == ["out.jsonl"]

    def test_an_error_keeps_the_partial_file_and_names_it(self, out):
        out.write_text('"old"\n')
        with pytest.raises(KeyError) as caught:
            fail_after(out, "new")
        assert rows_of(out) == ["old"]
        assert rows_of(out.with_name("out.jsonl.partial")) == ["new"]
        assert "out.jsonl.partial" in caught.value.__notes__[0]

    def test_a_partial_file_without_rows_is_not_kept(self, out):
        with pytest.raises(KeyError):
            fail_after(out)
        assert os.listdir(out.parent) == []

    def test_a_link_stays_a_link(self, out, tmp_path):
        (tmp_path / "link.jsonl").symlink_to(out)
        with write.jsonl(tmp_path / "link.jsonl") as writer:
            writer.write(1)
        assert (tmp_path / "link.jsonl").is_symlink()
        assert rows_of(out) == [1]

    def test_absent_folder_is_told_with_the_remedy(self, tmp_path):
        with pytest.raises(write.WriteError, match=r"No such file.*mkdir -p"), write.jsonl(tmp_path / "no/out.jsonl"):
            pass

    def test_devices_are_written_directly(self):
        with write.jsonl(os.devnull) as writer:
            writer.write(1)
        assert writer.partial is None
        assert not os.path.isfile(os.devnull)

    def test_a_full_disk_is_an_error_even_if_noticed_at_the_end(self):
        if not os.path.exists("/dev/full"):
            pytest.skip("there is no /dev/full here")
        with pytest.raises(OSError, match="No space left"), write.jsonl("/dev/full") as writer:
            writer.write(1)

    def test_gzip_by_name(self, tmp_path):
        with write.jsonl(tmp_path / "out.jsonl.gz") as writer:
            writer.write({"a": 1})
        assert gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()) == b'{"a": 1}\n'

    def test_a_stream_is_written_and_left_open(self):
        stream = io.BytesIO()
        with write.csv(stream) as writer:
            writer.write(1)
        assert stream.getvalue() == b"result\n1\n"

    def test_a_pipe_gets_each_row_at_once(self):
        reading, writing = os.pipe()
        with open(reading, "rb") as reader, open(writing, "wb") as stream, write.jsonl(stream) as writer:
            writer.write(1)
            assert reader.readline() == b"1\n"


class TestJsonl:
    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            ("ä\u2028", "ä\u2028"),
            (numpy.float32(0.5), 0.5),
            (numpy.int64(3), 3),
            (numpy.array([[1, 2]]), [[1, 2]]),
            (Point(1, 2.5), {"x": 1, "y": 2.5}),
            (datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC), "2024-02-29T12:00:00+00:00"),
            (datetime.date(2024, 2, 29), "2024-02-29"),
            (datetime.timedelta(seconds=1.5), 1.5),
            (pathlib.PurePosixPath("a/b"), "a/b"),
            (b"\x00\xff", "AP8="),
            ({3, 1, 2}, [1, 2, 3]),
            (Colour.RED, "red"),
            (decimal.Decimal("0.10"), "0.10"),
            (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
            ([float("nan"), float("inf"), 1.0], [None, None, 1.0]),
            ({"a": numpy.array([1.0, float("nan")])}, {"a": [1.0, None]}),
            ("\udcff", "\udcff"),
        ],
    )
    def test_holds_what_programs_return(self, out, value, stored):
        with write.jsonl(out) as writer:
            writer.write({"v": value})
        assert rows_of(out) == [{"v": stored}]

    @pytest.mark.parametrize(
        ("value", "why"), [(object(), "type object has no JSON form"), ({(1, 2): 3}, "keys must be"), (1j, "complex")]
    )
    def test_rejects_the_rest_by_name_and_goes_on(self, out, value, why):
        with write.jsonl(out) as writer:
            writer.write(1)
            with pytest.raises(write.RowRejected, match=rf"row 2 cannot be written: .*{why}"):
                writer.write({"a": [value]})
            writer.write(2)
        assert rows_of(out) == [1, 2]

    def test_a_value_inside_itself_is_rejected(self, out):
        circle = []
        circle.append(circle)
        with write.jsonl(out) as writer, pytest.raises(write.RowRejected, match="contains itself"):
            writer.write(circle)


class TestCsv:
    def read(self, path):
        with open(path, newline="") as stream:
            return list(csv.reader(stream))

    def test_columns_come_from_the_first_row(self, tmp_path):
        with write.csv(tmp_path / "out.csv") as writer:
            writer.write({"a": 1, "b": 'x,"\n'})
            writer.write({"b": None})
            writer.write({"b": [1, {"c": 2}], "a": datetime.date(2024, 1, 1)})
        rows = [["a", "b"], ["1", 'x,"\n'], ["", ""], ["2024-01-01", '[1, {"c": 2}]']]
        assert self.read(tmp_path / "out.csv") == rows

    def test_what_is_no_dict_is_a_column(self, tmp_path):
        with write.csv(tmp_path / "out.csv") as writer:
            writer.write(numpy.int64(5))
            writer.write("x")
        assert self.read(tmp_path / "out.csv") == [["result"], ["5"], ["x"]]

    def test_dataclasses_and_tabs(self, tmp_path):
        with write.csv(tmp_path / "out.tsv") as writer:
            writer.write(Point(1, 2.0))
        assert (tmp_path / "out.tsv").read_text() == "x\ty\n1\t2.0\n"

    def test_a_new_column_is_rejected_and_nothing_of_it_written(self, tmp_path):
        with write.csv(tmp_path / "out.csv") as writer:
            writer.write({"a": 1})
            with pytest.raises(write.RowRejected, match="a column 'b', which the first row had not"):
                writer.write({"a": 2, "b": 3})
        assert self.read(tmp_path / "out.csv") == [["a"], ["1"]]


def write_all(path, rows):
    with write.parquet(path) as writer:
        for row in rows:
            writer.write(row)


class TestParquet:
    @pytest.fixture
    def out(self, tmp_path):
        pytest.importorskip("pyarrow")
        return tmp_path / "out.parquet"

    def test_rows_come_back_with_their_types(self, out):
        when = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)
        rows = [{"n": n, "t": when, "b": b"\xff", "l": [n, None], "s": {"x": 1.5}} for n in range(10)]
        with write.parquet(out) as writer:
            for row in rows:
                writer.write(row)
        assert list(read.parquet(out)) == rows

    def test_groups_are_bounded(self, out, monkeypatch):
        import pyarrow.parquet

        monkeypatch.setattr(write, "GROUP_ROWS", 10)
        with write.parquet(out) as writer:
            for n in range(25):
                writer.write(n)
        assert pyarrow.parquet.ParquetFile(out).metadata.num_row_groups == 3
        assert [row["result"] for row in read.parquet(out)] == list(range(25))

    def test_wide_rows_make_groups_of_few(self, out, monkeypatch):
        import pyarrow.parquet

        monkeypatch.setattr(write, "GROUP_BYTES", 1000)
        with write.parquet(out) as writer:
            for _ in range(4):
                writer.write({"b": b"x" * 600})
        assert pyarrow.parquet.ParquetFile(out).metadata.num_row_groups == 2

    @pytest.mark.parametrize("rows", [[1, 2, "three", 4], [1, "three"]])
    def test_a_row_of_another_type_is_named_and_those_before_kept(self, out, rows):
        place = rows.index("three")
        with pytest.raises(write.WriteError, match=rf"row {place + 1} does not fit the types"):
            write_all(out, rows)
        assert not out.exists()
        assert [row["result"] for row in read.parquet(f"{out}.partial")] == rows[:place]

    def test_types_of_the_first_group_hold_for_later_ones(self, out, monkeypatch):
        monkeypatch.setattr(write, "GROUP_ROWS", 2)
        with pytest.raises(write.WriteError, match=r"row 3 does not fit .*result: int64"):
            write_all(out, [1, 2, "three"])
        assert [row["result"] for row in read.parquet(f"{out}.partial")] == [1, 2]

    def test_a_new_column_is_rejected_at_once(self, out):
        with write.parquet(out) as writer:
            writer.write({"a": 1})
            with pytest.raises(write.RowRejected, match="column 'b'"):
                writer.write({"b": 2})
        assert list(read.parquet(out)) == [{"a": 1}]

    def test_no_rows_are_a_file_all_the_same(self, out):
        with write.parquet(out):
            pass
        assert list(read.parquet(out)) == []


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.jsonl", "jsonl"), ("a.json.gz", "jsonl"), ("A.TSV", "csv"), ("a.pq", "parquet"), ("a.txt", None), ("a", None)],
)
def test_the_name_tells_the_format(name, format):
    assert write.format_of(name) == format
