import gzip
import io
import sys
import tracemalloc

import pytest

from plait.errors import OptionError
from plait.surface import read, textlines


@pytest.fixture
def file(tmp_path):
    def make(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


class TestLines:
    def test_come_without_their_newlines(self, file):
        assert list(read.lines(file("a.txt", "one\r\ntwo \n\nlast"))) == ["one", "two ", "", "last"]

    def test_end_only_at_newlines(self, file):
        """`str.splitlines` would end lines at form feeds and the like, too, and count others than `wc -l`."""
        assert list(read.lines(file("a.txt", "a\x0cb\u2028c\n"))) == ["a\x0cb\u2028c"]

    def test_can_be_iterated_again(self, file):
        source = read.lines(file("a.txt", "one\ntwo\n"))
        assert list(source) == list(source) == ["one", "two"]

    def test_a_byte_order_mark_is_no_part_of_the_first(self, file):
        assert list(read.lines(file("a.txt", "\ufeffone\n"))) == ["one"]

    def test_gzip_is_opened(self, file):
        assert list(read.lines(file("a.txt.gz", gzip.compress(b"one\ntwo\n")))) == ["one", "two"]

    def test_broken_gzip_says_so(self, file):
        whole = gzip.compress(b"one\n" * 100_000)
        with pytest.raises(read.ReadError, match=r"a\.txt\.gz, line \d+: the compressed data is broken"):
            list(read.lines(file("a.txt.gz", whole[: len(whole) // 2])))

    def test_wrong_encoding_names_line_and_remedy(self, file):
        path = file("a.txt", b"fine\nf\xe4n\n")
        with pytest.raises(read.ReadError, match=r'line 2: byte 2 .*0xe4.* encoding="latin-1"') as caught:
            list(read.lines(path))
        assert caught.value.line == 2
        assert list(read.lines(path, encoding="latin-1")) == ["fine", "fän"]

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "UTF_8_SIG", "utf-8"])
    def test_a_byte_order_mark_is_left_out_at_the_start_alone(self, file, encoding):
        path = file("a.txt", "\ufeffone\n\ufefftwo\n")
        assert list(read.lines(path, encoding=encoding)) == ["one", "\ufefftwo"]

    @pytest.mark.parametrize("encoding", ["utf-16", "no-such-code", "hex", "rot13", "undefined"])
    def test_unusable_encoding_is_refused_at_the_call(self, file, encoding):
        with pytest.raises(OptionError, match=encoding):
            read.lines(file("a.txt", ""), encoding=encoding)

    def test_absent_file_is_told_at_the_call_with_the_nearest(self, file, tmp_path):
        file("input.txt", "")
        with pytest.raises(read.ReadError, match=r"no such file\. Did you mean 'input\.txt'"):
            read.lines(tmp_path / "inputt.txt")

    def test_folder_is_refused_with_the_way_to_read_it(self, tmp_path):
        with pytest.raises(read.ReadError, match=r"this is a folder\. plait\.read\.files"):
            read.lines(tmp_path)

    def test_standard_input_that_is_no_file(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
        assert list(read.lines("-")) == ["one", "two"]

    @pytest.mark.parametrize("stdin", [None, "closed"])
    def test_no_standard_input_is_told_at_the_call(self, monkeypatch, stdin):
        stream = None
        if stdin:
            stream = io.TextIOWrapper(io.BytesIO())
            stream.close()
        monkeypatch.setattr(sys, "stdin", stream)
        with pytest.raises(read.ReadError, match="standard input: this process has none, or has closed it"):
            read.lines("-")

    def test_standard_input_without_bytes_is_told(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.StringIO("text"))
        with pytest.raises(read.ReadError, match="a StringIO, which has no bytes"):
            list(read.lines("-"))

    def test_memory_is_flat(self, file):
        path = file("a.txt", "x" * 99 + "\n")
        path.write_bytes(path.read_bytes() * 100_000)
        tracemalloc.start()
        try:
            assert sum(len(line) for line in read.lines(path)) == 9_900_000
            assert tracemalloc.get_traced_memory()[1] < 500_000
        finally:
            tracemalloc.stop()


class TestSeveral:
    @pytest.fixture
    def logs(self, file, tmp_path):
        file("b.jsonl", '{"n": 3}')
        file("a.jsonl", '{"n": 1}\n{"n": 2}\n')
        file("c.jsonl.gz", gzip.compress(b'{"n": 4}\n'))
        file("d.jsonl.partial", '{"n": 5}\n')
        return tmp_path

    def test_a_glob_is_all_that_match_in_order(self, logs):
        source = read.jsonl(f"{logs}/*.jsonl*")
        assert list(source) == list(source) == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
        assert source.total_hint() is None
        assert read.jsonl(f"{logs}/*.jsonl").total_hint() == 3

    def test_an_error_names_the_file_and_its_line(self, logs):
        (logs / "b.jsonl").write_text("1\nnope\n")
        with pytest.raises(read.ReadError, match=r"b\.jsonl, line 2"):
            list(read.jsonl(f"{logs}/*.jsonl"))

    def test_each_csv_has_its_own_header(self, file, tmp_path):
        file("a.csv", "a,b\n1,2\n")
        file("b.tsv", "b\ta\n3\t4\n")
        source = read.csv(f"{tmp_path}/*.?sv")
        assert list(source) == [{"a": "1", "b": "2"}, {"b": "3", "a": "4"}]
        assert source.total_hint() == 2

    def test_no_match_is_told_at_the_call(self, logs):
        with pytest.raises(read.ReadError, match="no file matches"):
            read.lines(f"{logs}/*.txt")

    def test_a_name_that_looks_like_a_glob_is_that_file(self, file):
        assert list(read.lines(file("a[1].txt", "x\n"))) == ["x"]

    def test_many_are_estimated_from_the_first(self, file, tmp_path, monkeypatch):
        monkeypatch.setattr(textlines, "COUNTED_BYTES", 15)
        for name in "abcd":
            file(f"{name}.txt", "1234567\n" * 2)
        source = read.lines(f"{tmp_path}/*.txt")
        (tmp_path / "d.txt").write_text("-" * 16)  # is not looked into
        assert source.total_hint() == 8


class TestHints:
    @pytest.mark.parametrize(("content", "count"), [("", 0), ("a", 1), ("a\n", 1), ("a\nb", 2)])
    def test_small_files_are_counted(self, file, content, count):
        assert read.lines(file("a.txt", content)).total_hint() == count

    def test_large_files_are_estimated(self, file, monkeypatch):
        monkeypatch.setattr(textlines, "COUNTED_BYTES", 1000)
        monkeypatch.setattr(textlines, "BLOCK", 100)
        assert read.lines(file("a.txt", "123456789\n" * 500)).total_hint() == 500

    def test_the_header_is_no_row(self, file):
        assert read.csv(file("a.csv", "a,b\n1,2\n3,4\n")).total_hint() == 2

    def test_pipes_and_compressed_files_are_not_read_for_it(self, file):
        assert read.lines("-").total_hint() is None
        assert read.lines(file("a.gz", gzip.compress(b"a\n"))).total_hint() is None


class TestJsonl:
    def test_gives_values_and_passes_over_blank_lines(self, file):
        assert list(read.jsonl(file("a.jsonl", '{"a": 1}\n\n[2]\n"x"\n  \nnull\n'))) == [{"a": 1}, [2], "x", None]

    def test_bad_line_is_named_with_what_is_wrong_and_what_to_do(self, file):
        source = read.jsonl(file("a.jsonl", "1\n" * 16 + "{'a': 1}\n"))
        with pytest.raises(read.ReadError, match=r"a\.jsonl, line 17: this is not JSON: .* at column 2.*Fix that line"):
            list(source)

    def test_what_precedes_a_bad_line_is_given(self, file):
        iterator = iter(read.jsonl(file("a.jsonl", "1\nnope\n")))
        assert next(iterator) == 1
        with pytest.raises(read.ReadError, match="line 2"):
            next(iterator)

    def test_a_document_over_many_lines_is_recognised(self, file):
        with pytest.raises(read.ReadError, match=r"one document over many lines.*jq"):
            list(read.jsonl(file("a.json", '[\n{"a": 1}\n]\n')))


class TestCsv:
    def test_rows_are_dicts_and_quoted_newlines_stay(self, file):
        rows = list(read.csv(file("a.csv", 'a,b\n1,"x,\ny"\n\n3\n')))
        assert rows == [{"a": "1", "b": "x,\ny"}, {"a": "3", "b": None}]

    def test_tabs_by_name_or_by_delimiter(self, file):
        assert list(read.csv(file("a.tsv", "a\tb\n1\t2\n"))) == [{"a": "1", "b": "2"}]
        assert list(read.csv(file("a.csv", "a;b\n1;2\n"), delimiter=";")) == [{"a": "1", "b": "2"}]

    def test_row_longer_than_the_header_names_its_line(self, file):
        with pytest.raises(read.ReadError, match=r"line 4: the row has 3 fields, the header 2"):
            list(read.csv(file("a.csv", 'a,b\n"1\n",2\n3,4,5\n')))

    def test_doubled_column_is_refused(self, file):
        with pytest.raises(read.ReadError, match="the header names 'a' twice"):
            list(read.csv(file("a.csv", "a,b,a\n1,2,3\n")))

    def test_open_quote_is_told(self, file):
        with pytest.raises(read.ReadError, match="this is not CSV"):
            list(read.csv(file("a.csv", 'a,b\n1,"x\n2,3\n')))

    def test_empty_file_has_no_rows(self, file):
        assert list(read.csv(file("a.csv", ""))) == []


class TestParquet:
    @pytest.fixture
    def table(self, tmp_path):
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet")
        path = tmp_path / "a.parquet"
        content = pyarrow.table({"n": list(range(10_000)), "t": [str(n) for n in range(10_000)]})
        pyarrow.parquet.write_table(content, path, row_group_size=1_000)
        return path

    def test_rows_are_dicts_in_order(self, table):
        source = read.parquet(table)
        assert source.total_hint() == 10_000
        assert list(source) == [{"n": n, "t": str(n)} for n in range(10_000)]

    def test_columns(self, table):
        assert next(iter(read.parquet(table, columns=["t"]))) == {"t": "0"}
        with pytest.raises(read.ReadError, match=r"no column 'x'\. It has: n, t"):
            next(iter(read.parquet(table, columns=["x"])))

    def test_other_files_are_told(self, file):
        pytest.importorskip("pyarrow")
        with pytest.raises(read.ReadError, match="this is not Parquet"):
            list(read.parquet(file("a.parquet", "text")))


class TestFiles:
    @pytest.fixture
    def tree(self, tmp_path):
        for name in ("b.txt", "a/2.txt", "a/1.py", ".hidden/x.txt", "a/.y", "c"):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.touch()
        return tmp_path

    def test_folder_gives_all_files_sorted_without_hidden_ones(self, tree):
        source = read.files(tree)
        assert list(source) == [str(tree / name) for name in ("a/1.py", "a/2.txt", "b.txt", "c")]
        assert source.total_hint() == 4

    def test_glob(self, tree):
        assert list(read.files(f"{tree}/**/*.txt")) == [str(tree / "a/2.txt"), str(tree / "b.txt")]

    def test_outputs_that_are_not_complete_are_left_out(self, tree):
        (tree / "out.jsonl.partial").touch()
        assert len(list(read.files(tree))) == 4
        with pytest.raises(read.ReadError, match="no file matches"):
            list(read.files(f"{tree}/o*"))
        assert list(read.files(f"{tree}/*.partial")) == [str(tree / "out.jsonl.partial")]
        assert list(read.files(tree / "out.jsonl.partial")) == [str(tree / "out.jsonl.partial")]

    def test_glob_without_a_match_is_an_error(self, tree):
        with pytest.raises(read.ReadError, match="no file matches"):
            list(read.files(f"{tree}/*.csv"))

    def test_one_file_is_itself(self, tree):
        assert list(read.files(tree / "c")) == [str(tree / "c")]

    def test_circle_of_links_ends(self, tree):
        (tree / "a" / "up").symlink_to(tree)
        assert len(list(read.files(tree))) == 4


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.txt", "lines"),
        ("a", "lines"),
        ("-", "lines"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson.gz", "jsonl"),
        ("A.CSV", "csv"),
        ("a.tsv", "csv"),
        ("a.parquet", "parquet"),
        ("*.csv", "files"),
        (".", "files"),
    ],
)
def test_the_name_tells_the_format(name, format):
    assert read.format_of(name) == format
