import collections
import csv
import dataclasses
import datetime
import decimal
import enum
import errno
import fcntl
import gc
import gzip
import io
import json
import os
import pathlib
import signal
import sys
import uuid

import numpy
import pytest

from plait.surface import columns, partial, read, write


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


def with_error(writer, *rows):
    with writer:
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

    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
    def test_the_mode_of_the_file_that_it_replaces_is_kept(self, out, mode):
        out.write_text("secret")
        out.chmod(mode)
        with write.jsonl(out) as writer:
            writer.write(1)
            partial_mode = os.stat(writer.partial).st_mode
        assert (out.stat().st_mode & 0o777, partial_mode & 0o777) == (mode, mode | 0o600)

    def test_a_pipe_that_has_a_name_is_written_directly(self):
        reading, writing = os.pipe()
        with open(reading, "rb") as reader, open(writing, "wb"):
            with write.jsonl(f"/dev/fd/{writing}") as writer:
                writer.write(1)
            assert reader.readline() == b"1\n"

    def test_absent_folder_is_told_with_the_remedy(self, tmp_path):
        with pytest.raises(write.WriteError, match=r"No such file.*mkdir -p"), write.jsonl(tmp_path / "no/out.jsonl"):
            pass

    @pytest.mark.parametrize("name", ["", "new/", "."])
    def test_a_folder_is_no_output(self, tmp_path, name):
        with pytest.raises(write.WriteError, match=r"this is a folder.*Name a file in it: .*results\.jsonl"):
            write.jsonl(os.path.join(tmp_path, name)).__enter__()

    @pytest.mark.parametrize("closed", [None, "closed", "text"])
    def test_no_standard_output_is_told(self, monkeypatch, closed):
        stream = None if closed is None else io.StringIO() if closed == "text" else io.TextIOWrapper(io.BytesIO())
        if closed == "closed":
            stream.close()
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(write.WriteError, match=r"it would be standard output, and this process.*Name a file"):
            write.jsonl("-").__enter__()

    def test_it_is_found_wherever_the_program_has_gone(self, tmp_path, monkeypatch):
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path)
        with write.jsonl("out.jsonl") as writer:
            monkeypatch.chdir("elsewhere")
            writer.write(1)
        assert rows_of(tmp_path / "out.jsonl") == [1]

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

    @pytest.mark.parametrize("make", [write.jsonl, write.csv, write.parquet])
    def test_every_format_can_go_to_a_device(self, make):
        if make is write.parquet:
            pytest.importorskip("pyarrow")
        with make(os.devnull) as writer:
            writer.write({"a": 1})
        assert writer.rows == 1

    def test_an_error_leaves_no_whole_parquet_in_a_stream(self):
        pyarrow = pytest.importorskip("pyarrow")
        stream = io.BytesIO()
        with pytest.raises(KeyError):
            with_error(write.parquet(stream), pyarrow.table({"a": list(range(100_000))}))
        gc.collect()
        assert len(stream.getvalue()) > 1000
        assert not stream.getvalue().endswith(b"PAR1")

    def test_nor_a_whole_gzip_in_a_pipe(self, tmp_path):
        path = tmp_path / "pipe.jsonl.gz"
        os.mkfifo(path)
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
            with pytest.raises(KeyError):
                with_error(write.jsonl(path), 1)
            with pytest.raises(EOFError):
                gzip.decompress(reader.read())


class TestUsedAgain:
    @pytest.mark.parametrize("make", [write.jsonl, write.csv, write.parquet])
    def test_a_writer_writes_anew(self, tmp_path, make):
        if make is write.parquet:
            pytest.importorskip("pyarrow")
        writer = make(tmp_path / "out")
        for row in ({"a": 1}, {"b": "x"}):
            with writer:
                writer.write(row)
            assert writer.rows == 1
            source = {write.jsonl: read.jsonl, write.csv: read.csv, write.parquet: read.parquet}[make]
            assert [list(found) for found in source(tmp_path / "out")] == [list(row)]

    def test_after_an_error_too(self, out):
        writer = write.jsonl(out)
        with pytest.raises(KeyError):
            with_error(writer, 1)
        with writer:
            writer.write(2)
        assert rows_of(out) == [2]
        assert os.listdir(out.parent) == [out.name]

    def test_but_not_while_it_is_in_use(self, out):
        writer = write.jsonl(out)
        with writer, pytest.raises(write.WriteError, match="this writer is in use"):
            writer.__enter__()
        assert out.exists()

    def test_outside_of_with_it_says_so(self, out):
        with pytest.raises(write.WriteError, match="Write inside of `with writer:`"):
            write.jsonl(out).write(1)


class TestTwoAtOnce:
    def test_the_second_is_refused_and_the_first_unharmed(self, out, python):
        with write.jsonl(out) as writer:
            writer.write("first")
            with pytest.raises(write.WriteError, match=r"writing it now, to .*out\.jsonl\.partial.*another name"):
                write.jsonl(out).__enter__()
            other = python(f"import plait\nwith plait.write.jsonl({str(out)!r}) as w: w.write('second')")
            assert "another run or writer is writing it now" in other.stderr
            writer.write("still first")
        assert rows_of(out) == ["first", "still first"]
        with write.jsonl(out) as writer:
            writer.write("after")
        assert rows_of(out) == ["after"]

    def test_nor_by_a_link_to_it(self, out, tmp_path):
        (tmp_path / "link.jsonl").symlink_to(out)
        with write.jsonl(out), pytest.raises(write.WriteError, match="writing it now"):
            write.jsonl(tmp_path / "link.jsonl").__enter__()

    def test_what_a_killed_one_left_is_in_nobodys_way(self, out, python):
        script = """
            import os, signal, sys, plait
            with plait.write.jsonl(sys.argv[1]) as writer:
                writer.write("killed"), writer.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        """
        assert python(script, str(out)).returncode == -9
        assert rows_of(out.with_name("out.jsonl.partial")) == ["killed"]
        with write.jsonl(out) as writer:
            writer.write("next")
        assert rows_of(out) == ["next"]

    def test_nor_is_a_child_that_outlives_it(self, out, python):
        script = """
            import os, signal, sys, plait
            writer = plait.write.jsonl(sys.argv[1])
            writer.__enter__()
            said, say = os.pipe()
            child = os.fork()
            if not child:
                with plait.write.jsonl(sys.argv[2]):  # it can write others
                    pass
                os.write(say, b"x")
                os.close(1), os.close(2)
                signal.pause()
            os.read(said, 1)
            print(child, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """
        killed = python(script, str(out), str(out) + "2")
        assert killed.returncode == -9
        try:
            with write.jsonl(out) as writer:
                writer.write("next")
            assert rows_of(out) == ["next"]
        finally:
            os.kill(int(killed.stdout), signal.SIGKILL)

    def test_the_one_that_waited_for_the_lock_does_not_write_the_finished_file(self, out, monkeypatch):
        """Between opening the file and locking it, it may have become the output."""
        first = write.jsonl(out)
        first.__enter__()
        first.write("first")
        lock = fcntl.flock

        def late(file, how):
            monkeypatch.setattr(fcntl, "flock", lock)
            first.__exit__(None, None, None)
            lock(file, how)

        monkeypatch.setattr(fcntl, "flock", late)
        with write.jsonl(out) as second:
            assert rows_of(out) == ["first"]
            second.write("second")
        assert rows_of(out) == ["second"]

    @pytest.mark.parametrize("why", ["no lock", "no fcntl"])
    def test_where_there_are_no_locks_each_has_a_name_of_its_own(self, out, monkeypatch, why):
        def refuse(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        if why == "no lock":
            monkeypatch.setattr(fcntl, "flock", refuse)
        else:
            monkeypatch.setattr(partial, "fcntl", None)
        with write.jsonl(out) as first, write.jsonl(out) as second:
            first.write(1)
            second.write(2)
            assert first.partial != second.partial
            assert first.partial.endswith(".partial")
        assert rows_of(out) == [1]
        assert os.listdir(out.parent) == [out.name]

    def test_an_error_names_the_file_that_it_was(self, out, monkeypatch):
        monkeypatch.setattr(partial, "fcntl", None)
        writer = write.jsonl(out)
        with pytest.raises(KeyError) as caught:
            with_error(writer, 1)
        assert writer.partial in caught.value.__notes__[0]
        assert rows_of(out.with_name(os.path.basename(writer.partial))) == [1]


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

    def test_the_first_row_has_to_have_columns(self, tmp_path):
        with write.csv(tmp_path / "out.csv") as writer:
            with pytest.raises(write.RowRejected, match=r"row 1 .*has no columns.*Return every column in every row"):
                writer.write({})
            writer.write({"a": 1})
            writer.write({})
        assert writer.rows == 2
        assert self.read(tmp_path / "out.csv") == [["a"], ["1"], [""]]

    def test_a_table_of_nothing_names_no_columns(self, tmp_path):
        pyarrow = pytest.importorskip("pyarrow")
        with write.csv(tmp_path / "out.csv") as writer:
            writer.write(pyarrow.table({}))
            writer.write({"a": 1})
        assert self.read(tmp_path / "out.csv") == [["a"], ["1"]]

    def test_a_bare_carriage_return_ends_no_row(self, tmp_path):
        with write.csv(tmp_path / "out.csv") as writer:
            writer.write({"a": "x\ry", "b": "\n"})
        assert (tmp_path / "out.csv").read_bytes() == b'a,b\n"x\ry","\n"\n'
        assert list(read.csv(tmp_path / "out.csv")) == [{"a": "x\ry", "b": "\n"}]

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

    def test_named_tuples_name_columns(self, tmp_path):
        with write.csv(tmp_path / "out.csv") as writer:
            writer.write(Pair(1, "x"))
        assert self.read(tmp_path / "out.csv") == [["left", "right"], ["1", "x"]]


Pair = collections.namedtuple("Pair", "left right")


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

    @pytest.mark.parametrize("bare", [1, 4, 7])
    def test_rows_without_columns_are_null_in_those_that_come(self, out, monkeypatch, bare):
        monkeypatch.setattr(columns, "GROUP_ROWS", 3)
        with write.parquet(out) as writer:
            for row in [{}] * bare + [{"a": 1}] * 4 + [{}]:
                writer.write(row)
        assert writer.rows == bare + 5
        assert [row["a"] for row in read.parquet(out)] == [None] * bare + [1] * 4 + [None]

    @pytest.mark.parametrize("bare", [1, 4])
    def test_rows_none_of_which_has_a_column_are_refused(self, out, monkeypatch, bare):
        monkeypatch.setattr(columns, "GROUP_ROWS", 3)
        with pytest.raises(write.WriteError, match=r"row 1: it has no columns, and no other row has any.*write JSONL"):
            write_all(out, [{}] * bare)
        assert os.listdir(out.parent) == []

    def test_groups_are_bounded(self, out, monkeypatch):
        import pyarrow.parquet

        monkeypatch.setattr(columns, "GROUP_ROWS", 10)
        with write.parquet(out) as writer:
            for n in range(25):
                writer.write(n)
        assert pyarrow.parquet.ParquetFile(out).metadata.num_row_groups == 3
        assert [row["result"] for row in read.parquet(out)] == list(range(25))

    def test_wide_rows_make_groups_of_few(self, out, monkeypatch):
        import pyarrow.parquet

        monkeypatch.setattr(columns, "GROUP_BYTES", 1000)
        with write.parquet(out) as writer:
            for _ in range(4):
                writer.write({"b": b"x" * 600})
        assert pyarrow.parquet.ParquetFile(out).metadata.num_row_groups == 2

    @pytest.mark.parametrize("rows", [[1, 2, "three", 4], [1, "three"]])
    def test_a_row_of_another_type_is_named_and_those_before_kept(self, out, rows):
        place = rows.index("three")
        with pytest.raises(write.WriteError, match=rf"row {place + 1}, column 'result': 'three' .*does not fit"):
            write_all(out, rows)
        assert not out.exists()
        assert [row["result"] for row in read.parquet(f"{out}.partial")] == rows[:place]

    def test_types_of_the_first_group_hold_for_later_ones(self, out, monkeypatch):
        monkeypatch.setattr(columns, "GROUP_ROWS", 2)
        with pytest.raises(write.WriteError, match=r"row 3, column 'result': 'three' .* of type int64"):
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

    @pytest.mark.parametrize("first", [None, [], {"x": None}, {"x": []}])
    def test_a_first_row_that_tells_nothing_is_no_trouble(self, out, monkeypatch, first):
        monkeypatch.setattr(columns, "GROUP_ROWS", 2)
        later = {"x": ["text"]} if isinstance(first, dict) else ["text"]
        rows = [{"a": first}, {"a": first}, {"a": first}, {"a": later}]
        write_all(out, rows)
        assert list(read.parquet(out)) == rows

    @pytest.mark.parametrize("group", [1, 2, 3, 100])
    def test_types_grow_though_groups_are_in_the_file(self, out, monkeypatch, group):
        monkeypatch.setattr(columns, "GROUP_ROWS", group)
        rows = [{"a": None, "b": 1}] * 4 + [{"a": [1], "b": 2}] * 3 + [{"a": [2.5], "b": 2.5}]
        with write.parquet(out) as writer:
            for row in rows:
                writer.write(row)
                assert set(os.listdir(out.parent)) == {"out.parquet.partial"}
        assert list(read.parquet(out)) == rows
        assert os.listdir(out.parent) == ["out.parquet"]

    def test_integers_too_large_for_the_floats_that_follow_are_named_and_kept(self, out, monkeypatch):
        monkeypatch.setattr(columns, "GROUP_ROWS", 2)
        rows = [1, 2**53 + 1, 3, 4]
        with pytest.raises(write.WriteError, match=r"row 2, column 'result': 9007199254740993 .*does not fit double"):
            write_all(out, [*rows, 0.5, 1])
        assert [row["result"] for row in read.parquet(f"{out}.partial")] == rows
        assert os.listdir(out.parent) == ["out.parquet.partial"]

    def test_what_went_to_a_stream_cannot_grow_any_more(self, monkeypatch):
        pytest.importorskip("pyarrow")
        monkeypatch.setattr(columns, "GROUP_ROWS", 2)
        with pytest.raises(write.WriteError, match=r"row 3, column 'result': .*double now, int64 before.*a stream"):
            write_all(io.BytesIO(), [1, 2, 0.5, 3])

    def test_a_file_that_grew_stays_under_its_writer(self, out, monkeypatch):
        monkeypatch.setattr(columns, "GROUP_ROWS", 1)
        with write.parquet(out) as writer:
            writer.write(1)
            writer.write(0.5)
            with pytest.raises(write.WriteError, match="writing it now"):
                write.parquet(out).__enter__()
        assert [row["result"] for row in read.parquet(out)] == [1.0, 0.5]

    def test_its_name_stays_for_the_next_time(self, out, monkeypatch):
        monkeypatch.setattr(columns, "GROUP_ROWS", 1)
        (out.parent / "out.parquet.anew.partial").touch()  # of one that was killed
        writer = write.parquet(out)
        for _ in range(2):
            with writer:
                assert os.listdir(out.parent).count("out.parquet.anew.partial") == 0
                writer.write(1)
                writer.write(0.5)
                assert writer.partial == f"{out}.partial"
        assert os.listdir(out.parent) == ["out.parquet"]

    def test_what_it_cannot_grow_to_is_told_and_the_rows_before_kept(self, out, monkeypatch):
        monkeypatch.setattr(columns, "GROUP_ROWS", 1)
        with pytest.raises(write.WriteError, match=r"Parquet cannot hold it: .*'a' with no child field") as caught:
            write_all(out, [{"a": None}, {"a": None}, {"a": {}}])
        assert "The 2 rows written before are in" in caught.value.__notes__[0]
        assert list(read.parquet(f"{out}.partial")) == [{"a": None}] * 2

    def test_a_full_disk_is_told_as_such(self):
        if not os.path.exists("/dev/full"):
            pytest.skip("there is no /dev/full here")
        pyarrow = pytest.importorskip("pyarrow")
        with pytest.raises(OSError, match="No space left"):
            write_all("/dev/full", [pyarrow.table({"a": list(range(100_000))})])
        gc.collect()

    def test_names_that_are_no_text_are_rejected_at_once(self, out):
        with write.parquet(out) as writer, pytest.raises(write.RowRejected, match="names of its columns are not text"):
            writer.write({1: 2})

    def test_a_column_that_had_to_be_there_may_be_missing_later(self, out, monkeypatch):
        pyarrow = pytest.importorskip("pyarrow")
        monkeypatch.setattr(columns, "GROUP_ROWS", 1)
        schema = pyarrow.schema(
            [pyarrow.field("a", pyarrow.int64(), False), pyarrow.field("b", pyarrow.int64(), False)]
        )
        write_all(out, [pyarrow.table({"a": [1], "b": [2]}, schema), {"a": 3, "b": None}, pyarrow.table({"b": [4]})])
        assert [(row["a"], row["b"]) for row in read.parquet(out)] == [(1, 2), (3, None), (None, 4)]

    def test_what_parquet_cannot_hold_is_told_and_leaves_nothing(self, out):
        with pytest.raises(write.WriteError, match=r"Parquet cannot hold it: .*'a' with no child field"):
            write_all(out, [{"a": {}}])
        assert os.listdir(out.parent) == []

    def test_it_is_not_compressed_twice(self, out):
        with pytest.raises(write.WriteError, match=r"compressed by itself.*Call it .*out\.parquet"):
            write.parquet(f"{out}.gz")


class TestTables:
    """Tables go in as they are, between rows or alone."""

    @pytest.fixture
    def pyarrow(self):
        return pytest.importorskip("pyarrow", reason="tables need pyarrow")

    @pytest.fixture
    def given(self, pyarrow):
        table = pyarrow.table({"n": [1, 2, None], "t": ["a", None, 'c,"'], "l": [[1], [], None]})
        return [table, {"n": 4, "t": "row", "l": [2]}, table.to_batches()[0].slice(1, 1), table.to_reader()]

    ROWS = (
        {"n": 1, "t": "a", "l": [1]},
        {"n": 2, "t": None, "l": []},
        {"n": None, "t": 'c,"', "l": None},
        {"n": 4, "t": "row", "l": [2]},
        {"n": 2, "t": None, "l": []},
        {"n": 1, "t": "a", "l": [1]},
        {"n": 2, "t": None, "l": []},
        {"n": None, "t": 'c,"', "l": None},
    )

    @pytest.mark.parametrize("make", [write.jsonl, write.csv, write.parquet])
    def test_make_the_file_that_their_rows_would(self, tmp_path, given, make):
        for name, rows in (("tables", given), ("rows", self.ROWS)):
            with make(tmp_path / name) as writer:
                for row in rows:
                    writer.write(row)
            assert writer.rows == 8
        if make is write.parquet:
            assert list(read.parquet(tmp_path / "tables")) == list(self.ROWS)
        else:
            assert (tmp_path / "tables").read_bytes() == (tmp_path / "rows").read_bytes()

    @pytest.mark.parametrize("make", [write.jsonl, write.csv, write.parquet])
    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_of_other_libraries(self, tmp_path, make, library, pyarrow):
        frames = pytest.importorskip(library, reason=f"DataFrames of {library} need it")
        with make(tmp_path / "out") as writer:
            writer.write(frames.DataFrame({"n": [1, 2], "t": ["a", "b"]}))
            writer.write(frames.DataFrame({"n": [3], "t": ["c"]}))
        source = {write.jsonl: read.jsonl, write.csv: read.csv, write.parquet: read.parquet}[make]
        assert [(int(row["n"]), row["t"]) for row in source(tmp_path / "out")] == [(1, "a"), (2, "b"), (3, "c")]

    def test_words_of_polars_can_be_stored(self, tmp_path, pyarrow):
        polars = pytest.importorskip("polars", reason="DataFrames of Polars need it")
        frame = polars.DataFrame({"w": polars.Series(["x", "y"], dtype=polars.Categorical), "l": [["a"], []]})
        write_all(tmp_path / "out", [frame])
        assert list(read.parquet(tmp_path / "out")) == frame.to_dicts()

    def test_small_ones_make_groups_together(self, tmp_path, pyarrow):
        write_all(tmp_path / "out", pyarrow.table({"n": list(range(2000))}).to_batches(max_chunksize=1))
        assert pyarrow.parquet.ParquetFile(tmp_path / "out").metadata.num_row_groups == 1

    def test_one_without_rows_still_tells_the_columns(self, tmp_path, pyarrow):
        for make in (write.csv, write.parquet):
            with make(tmp_path / "out") as writer:
                writer.write(pyarrow.table({"a": [1]}).slice(0, 0))
        assert pyarrow.parquet.read_schema(tmp_path / "out").names == ["a"]

    @pytest.mark.parametrize("make", [write.csv, write.parquet])
    def test_further_columns_are_rejected(self, tmp_path, pyarrow, make):
        with make(tmp_path / "out") as writer:
            writer.write(pyarrow.table({"a": [1], "b": [2]}))
            with pytest.raises(write.RowRejected, match=r"row 2 cannot be written: it has a column 'c'"):
                writer.write(pyarrow.table({"c": [1]}))
            writer.write(pyarrow.table({"b": [3]}))
        assert writer.rows == 2

    def test_types_that_do_not_mix_are_rejected(self, tmp_path, pyarrow):
        with write.parquet(tmp_path / "out") as writer:
            writer.write({"a": 1})
            with pytest.raises(write.RowRejected, match=r"row 2 .*column 'a': .*string now, int64 before"):
                writer.write(pyarrow.table({"a": ["x"]}))
            writer.write(pyarrow.table({"a": [0.5]}))
        assert list(read.parquet(tmp_path / "out")) == [{"a": 1.0}, {"a": 0.5}]

    def test_a_column_is_no_table(self, tmp_path, pyarrow):
        with write.jsonl(tmp_path / "out") as writer, pytest.raises(write.RowRejected, match="row 1"):
            writer.write(pyarrow.array([1]))

    def test_objects_that_arrow_cannot_hold_are_rejected(self, tmp_path, pyarrow):
        pandas = pytest.importorskip("pandas", reason="DataFrames of pandas need it")
        with write.csv(tmp_path / "out") as writer, pytest.raises(write.RowRejected, match="Arrow cannot hold it"):
            writer.write(pandas.DataFrame({"a": pandas.Series([1, "x"], dtype=object)}))


def test_an_unnamed_output_that_is_a_device_is_jsonl(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert [write.format_of(name) for name in (os.devnull, tmp_path / "pipe", tmp_path)] == ["jsonl", "jsonl", None]


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.jsonl", "jsonl"), ("a.json.gz", "jsonl"), ("A.TSV", "csv"), ("a.pq", "parquet"), ("a.txt", None), ("a", None)],
)
def test_the_name_tells_the_format(name, format):
    assert write.format_of(name) == format
