"""A journal's file: what is remembered, what is said, and what is refused."""

import os
import pathlib
import shutil
import sqlite3
import threading
import warnings
from contextlib import closing

import pytest

from plait.errors import JournalBusy, JournalChanged, JournalError, PlaitError
from plait.journal import file
from plait.journal.book import Book
from plait.journal.journal import Journal
from plait.journal.lock import Lock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


def opened(path, codec="msgpack"):
    return Book.open(Journal(path, codec))


def pages_of(book, name="clean", position=0, fingerprint="f1", options=""):
    return book.stage(name, position, fingerprint, options)


def recorded(path, *pairs, codec="msgpack"):
    """A journal with these results."""
    with opened(path, codec) as book:
        pages = pages_of(book)
        for item, result in pairs:
            pages.put(pages.key(item), result)


def replayed(path, *items, codec="msgpack"):
    with opened(path, codec) as book:
        pages = pages_of(book)
        return [pages.take(pages.key(item)) for item in items]


def content(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(folder)}


def damage(path, statement, *values):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


class TestReplay:
    def test_what_was_put_is_taken_by_the_next_run(self, path):
        recorded(path, (1, "one"), ({"a": 1}, [1, 2]), (None, None))
        assert replayed(path, None, {"a": 1}, 1, 2) == [(True, None), (True, [1, 2]), (True, "one"), (False, None)]

    def test_equal_items_count_as_often_as_they_occur(self, path):
        recorded(path, ("a", 1), ("b", 2), ("a", 3))
        assert replayed(path, "a", "a", "a", "b", "b") == [
            (True, 1),
            (True, 3),
            (False, None),
            (True, 2),
            (False, None),
        ]

    def test_each_run_takes_from_the_first_on(self, path):
        recorded(path, ("a", 1), ("a", 2))
        assert replayed(path, "a") == replayed(path, "a") == [(True, 1)]

    def test_what_this_run_puts_is_for_the_next(self, path):
        with opened(path) as book:
            pages = pages_of(book)
            key = pages.key("a")
            pages.put(key, 1)
            assert pages.take(key) == (False, None)
        recorded(path, ("a", 2))
        assert replayed(path, "a", "a") == [(True, 1), (True, 2)]

    def test_stages_do_not_share(self, path):
        with opened(path) as book:
            one, two, three = pages_of(book), pages_of(book, position=1), pages_of(book, name="parse")
            for pages, result in ((one, 1), (two, 2)):
                pages.put(pages.key("a"), result)
        with opened(path) as book:
            one, two, three = pages_of(book), pages_of(book, position=1), pages_of(book, name="parse")
            assert [pages.take(pages.key("a")) for pages in (three, two, one)] == [
                (False, None),
                (True, 2),
                (True, 1),
            ]

    def test_a_stage_has_one_set_of_pages(self, path):
        with opened(path) as book:
            assert pages_of(book) is pages_of(book)

    def test_counts(self, path):
        recorded(path, ("a", 1), ("b", 2))
        with opened(path) as book:
            pages = pages_of(book)
            for item in "abc":
                if not pages.take(pages.key(item))[0]:
                    pages.put(pages.key(item), item)
            assert (pages.replayed, pages.recorded) == (2, 1)

    def test_many_results_in_another_order(self, path):
        pairs = [(number, {"text": "x" * (number % 500)}) for number in range(20_000)]
        recorded(path, *pairs)
        assert replayed(path, *(item for item, _ in reversed(pairs))) == [
            (True, result) for _, result in reversed(pairs)
        ]

    def test_large_results(self, path):
        pairs = [(size, b"x" * size) for size in (0, 15_000, 17_000, 70_000, 5 << 20, 40 << 20, 3)]
        recorded(path, *pairs)
        assert replayed(path, *(item for item, _ in pairs)) == [(True, result) for _, result in pairs]

    @pytest.mark.parametrize("codec", ["msgpack", "json", "pickle"])
    def test_every_codec(self, path, codec):
        value = {"a": [1, 2.5, None, "ä"]}
        recorded(path, (1, value), codec=codec)
        assert replayed(path, 1, codec=codec) == [(True, value)]

    def test_pickle_keeps_what_others_refuse(self, path):
        recorded(path, (1, {"pos": (1, {2})}), codec="pickle")
        assert replayed(path, 1, codec="pickle") == [(True, {"pos": (1, {2})})]

    def test_names_with_everything_in_them(self, tmp_path):
        for name in ("a b?c#d%20&e.db", "ä\u2028.db", "file:x?mode=memory", "'\".db", "a.db.lock"):
            recorded(tmp_path / name, (1, name))
            assert replayed(tmp_path / name, 1) == [(True, name)]
            assert (tmp_path / name).exists()

    def test_a_link_and_its_target_are_one_journal(self, tmp_path, path):
        recorded(path, (1, 2))
        (tmp_path / "link.db").symlink_to(path)
        assert replayed(tmp_path / "link.db", 1) == [(True, 2)]
        with opened(path), pytest.raises(JournalBusy):
            opened(tmp_path / "link.db")

    def test_what_lies_beside_it_afterwards(self, tmp_path, path):
        recorded(path, (1, 2))
        assert sorted(os.listdir(tmp_path)) == ["run.db", "run.db.lock"]

    def test_nothing_is_left(self, path, nothing_left):
        recorded(path, *((number, b"x" * 1000) for number in range(5_000)))


class TestChanges:
    def test_a_changed_function_is_said_once_and_replayed(self, path):
        recorded(path, ("a", 1))
        with opened(path) as book:
            with pytest.warns(JournalChanged, match=r"stage 'clean' has changed.*its function's code is another\."):
                pages = pages_of(book, fingerprint="f2")
            assert pages.take(pages.key("a")) == (True, 1)
        with opened(path) as book:
            pages_of(book, fingerprint="f2")

    def test_changed_options_are_said_with_both(self, path):
        with opened(path) as book:
            pages_of(book, options="retries=1")
        with opened(path) as book, pytest.warns(JournalChanged) as said:
            pages_of(book, options="retries=2")
        with opened(path) as book, pytest.warns(JournalChanged) as again:
            pages_of(book, fingerprint="f2")
        assert "its options were retries=1 and are retries=2. They are replayed" in str(said[0].message)
        assert "its function's code is another and its options were retries=2 and are none." in str(again[0].message)
        assert str(path) in str(said[0].message)
        assert "delete the file" in str(said[0].message)

    def test_as_an_error_it_is_said_again(self, path):
        recorded(path)
        for _ in range(2):
            with opened(path) as book, warnings.catch_warnings():
                warnings.simplefilter("error")
                with pytest.raises(JournalChanged):
                    pages_of(book, fingerprint="f2")


class TestRefusals:
    def test_a_result_that_would_change(self, path):
        with opened(path) as book:
            pages = pages_of(book)
            with pytest.raises(JournalError) as caught:
                pages.put(pages.key(1), {"pos": (1, 2)})
            pages.put(pages.key(2), [2])
        text = str(caught.value)
        assert "result['pos'] is a tuple, which MessagePack makes a list. Return a list, or pass" in text
        assert f"journal=plait.Journal('{path}', codec='pickle')" in text
        assert replayed(path, 1, 2) == [(False, None), (True, [2])]

    def test_what_pickle_cannot_hold_names_no_codec(self, path):
        with opened(path, "pickle") as book:
            pages = pages_of(book)
            with pytest.raises(JournalError, match="is a lock that cannot be pickled") as caught:
                pages.put(pages.key(1), threading.Lock())
        assert "codec" not in str(caught.value)

    def test_an_item_without_a_key(self, path):
        with opened(path) as book:
            pages = pages_of(book)
            with pytest.raises(
                JournalError, match=r"an item of type dict.*what a _thread\.lock consists of.*journal_key="
            ):
                pages.key({"a": threading.Lock()})

    def test_a_key_that_raises(self, path):
        class Broken:
            @property
            def __attrs_attrs__(self):
                raise KeyError("x")

        with opened(path) as book, pytest.raises(JournalError, match="an item of type"):
            pages_of(book).key(Broken())

    @pytest.mark.parametrize("data", [b"hello\n", b"x" * 5000, b"\0" * 10, b"SQLite format 3\0" + b"x" * 84])
    def test_a_file_of_another_kind_is_not_touched(self, tmp_path, path, data):
        path.write_bytes(data)
        with pytest.raises(JournalError, match=r"run\.db.*(is not a journal of Plait|damaged)"):
            opened(path)
        assert content(tmp_path) == {"run.db": data}

    @pytest.mark.parametrize("mode", ["delete", "wal"])
    def test_the_database_of_another_program_is_not_touched(self, tmp_path, path, mode):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA journal_mode={mode}")
            connection.execute("CREATE TABLE stages (x)")
        before = content(tmp_path)
        with pytest.raises(JournalError, match="is not a journal of Plait, but an SQLite database of another program"):
            opened(path)
        assert content(tmp_path) == before

    def test_the_locks_of_another_user_of_it_in_this_process_stay(self, path, python):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE mine (x)")
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalError, match="not a journal"):
                opened(path)
            script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
            assert "database is locked" in python(script, str(path)).stderr

    def test_a_newer_one(self, tmp_path, path):
        recorded(path, (1, 2))
        damage(path, "PRAGMA user_version = 2")
        before = content(tmp_path)
        with pytest.raises(JournalError, match=r"newer Plait \(version 2 of its tables; this one knows 1\)\. Upgrade"):
            opened(path)
        assert content(tmp_path) == before

    @pytest.mark.parametrize(
        ("kept", "asked"), [("pickle", "msgpack"), ("pickle", "json"), ("msgpack", "pickle"), ("json", "msgpack")]
    )
    def test_another_codec(self, path, kept, asked):
        recorded(path, (1, 2), codec=kept)
        with pytest.raises(JournalError, match=f"results are kept as {kept}, and this run asks for {asked}") as caught:
            opened(path, asked)
        assert f"plait.Journal('{path}', codec='{kept}')" in str(caught.value)
        assert ("runs code" in str(caught.value)) == (kept == "pickle")
        assert replayed(path, 1, codec=kept) == [(True, 2)]

    def test_a_folder(self, tmp_path):
        with pytest.raises(JournalError, match="is not a journal of Plait, but a folder"):
            opened(tmp_path)

    def test_a_device(self):
        with pytest.raises(JournalError, match="is not a journal of Plait, but no regular file"):
            opened(os.devnull)
        assert not os.path.exists(os.devnull + ".lock")

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(JournalError, match=r"there is no folder .*no\. Make it first: mkdir -p"):
            opened(tmp_path / "no" / "run.db")

    def test_a_file_as_a_folder(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(JournalError, match="there is no folder"):
            opened(tmp_path / "file" / "run.db")

    def test_an_empty_file_becomes_one(self, path):
        path.touch()
        recorded(path, (1, 2))
        assert replayed(path, 1) == [(True, 2)]

    def test_a_name_too_long(self, tmp_path):
        with pytest.raises(JournalError):
            opened(tmp_path / ("x" * 300))

    def test_errors_are_of_one_family(self):
        assert issubclass(JournalError, PlaitError)


class TestDamage:
    def test_half_of_a_file(self, path):
        recorded(path, *((number, b"x" * 1000) for number in range(1000)))
        os.truncate(path, os.path.getsize(path) // 2)
        with pytest.raises(JournalError, match=r"is damaged.*[Mm]ove it away"):
            replayed(path, *range(1000))

    def test_a_flipped_bit_in_a_result(self, path):
        recorded(path, (1, "a" * 1000))
        data = path.read_bytes()
        assert data.count(b"a" * 1000) == 1
        path.write_bytes(data.replace(b"a" * 1000, b"a" * 500 + b"b" + b"a" * 499))
        with pytest.raises(JournalError, match=r"damaged \(the results of row 1 are not what was written"):
            replayed(path, 1)

    @pytest.mark.parametrize(
        ("statement", "says"),
        [
            ("DELETE FROM about", "does not say in which form"),
            ("DROP TABLE about", "no such table"),
            ("DROP TABLE stages", "no such table"),
            ("UPDATE groups SET crc = crc + 1", "not what was written"),
            ("UPDATE groups SET keys = CAST(keys || keys AS BLOB)", "fewer results than keys"),
            ("UPDATE groups SET results = x'01', crc = 2768625435", "results of row 1 make no sense"),
            ("UPDATE groups SET keys = x'00'", "keys of row 1 are not what was written"),
            ("UPDATE groups SET results = 'a'", "results of row 1 are not what was written"),
        ],
    )
    def test_tables_that_make_no_sense(self, path, statement, says):
        recorded(path, (1, 2))
        damage(path, statement)
        with pytest.raises(JournalError, match=says):
            replayed(path, 1, 1)

    def test_a_pickle_is_not_read_where_message_pack_is_asked_for(self, path):
        class Bomb:
            def __reduce__(self):
                return os.mkdir, (str(path) + ".boom",)

        with opened(path, "pickle") as book:
            pages = pages_of(book)
            pages._codec.encode = lambda value: __import__("pickle").dumps(value)
            pages.put(pages.key(1), Bomb())
        damage(path, "UPDATE about SET codec = 'msgpack'")
        with pytest.raises(JournalError, match="damaged"):
            replayed(path, 1)
        assert not os.path.exists(str(path) + ".boom")


class TestClosing:
    def test_twice_and_afterwards(self, path):
        book = opened(path)
        pages = pages_of(book)
        key = pages.key(1)
        pages.put(key, 1)
        book.close()
        book.close()
        for use in (lambda: pages.put(key, 1), lambda: pages.take(key), lambda: pages_of(book)):
            with pytest.raises(JournalError, match="is closed"):
                use()
        assert replayed(path, 1) == [(True, 1)]

    def test_from_many_threads_at_once(self, path):
        book = opened(path)
        pages = pages_of(book)
        go = threading.Barrier(8)
        put, ends = [], []

        def work(number):
            go.wait()
            for count in range(1_000_000):
                try:
                    pages.put(pages.key((number, count)), [number, count])
                except JournalError as error:
                    ends.append(str(error))
                    break
                put.append((number, count))
                if number == 0 and count == 500:
                    book.close()
            book.close()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ends) == 8
        assert all("is closed" in end for end in ends)
        assert replayed(path, *put) == [(True, list(item)) for item in put]

    def test_the_next_run_may_begin_at_once(self, path):
        for number in range(20):
            with opened(path) as book:
                pages = pages_of(book)
                pages.put(pages.key(number), number)
        assert replayed(path, *range(20)) == [(True, number) for number in range(20)]

    def test_an_unclosed_one_is_closed_with_the_process(self, path, python):
        script = """
            import sys
            from plait.journal.book import Book
            from plait.journal.journal import Journal
            pages = Book.open(Journal(sys.argv[1])).stage("clean", 0, "f1", "")
            for number in range(1000):
                pages.put(pages.key(number), number)
        """
        ran = python(script, str(path))
        assert (ran.returncode, ran.stderr) == (0, "")
        assert replayed(path, 0, 999) == [(True, 0), (True, 999)]
        assert not pathlib.Path(str(path) + "-wal").exists()

    def test_a_failed_opening_leaves_the_lock_free(self, path):
        recorded(path, codec="json")
        for _ in range(2):
            with pytest.raises(JournalError, match="kept as json"):
                opened(path)
        recorded(path, (1, 2), codec="json")


class TestBusy:
    def test_a_second_run_in_this_process(self, path):
        with opened(path) as book:
            with pytest.raises(JournalBusy, match=f"the run of process {os.getpid()} is using it") as caught:
                opened(path)
            pages = pages_of(book)
            pages.put(pages.key(1), 2)
        assert caught.value.pid == os.getpid()
        assert replayed(path, 1) == [(True, 2)]

    def test_a_lock_file_from_earlier_is_no_lock(self, path):
        pathlib.Path(f"{path}.lock").write_text("1\n")
        recorded(path, (1, 2))

    def test_a_lock_file_that_is_removed_and_taken_in_the_same_moment(self, path):
        """Who waited at the removed file has to see that it is not the one of that name any more."""
        locks = []
        lock = pathlib.Path(f"{path}.lock")
        done = threading.Event()

        def remove():
            while not done.is_set():
                lock.unlink(missing_ok=True)

        thread = threading.Thread(target=remove)
        thread.start()
        try:
            for _ in range(200):
                locks.append(Lock(str(path)))
                locks.pop().release()
        finally:
            done.set()
            thread.join()
        with opened(path), pytest.raises(JournalBusy):
            opened(path)

    def test_a_lock_file_with_something_else_in_it(self, path):
        with opened(path):
            pathlib.Path(f"{path}.lock").write_text("somebody\n")
            with pytest.raises(JournalBusy, match="another run is using it"):
                opened(path)

    def test_the_lock_of_another_program_at_the_opening(self, path, monkeypatch):
        recorded(path, (1, 2))
        monkeypatch.setattr(file, "PATIENCE", 0.1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalError, match=r"another program keeps it locked\. Close what has it open"):
                opened(path)
        assert replayed(path, 1) == [(True, 2)]

    def test_a_copy_is_another_journal(self, path, tmp_path):
        recorded(path, (1, 2))
        shutil.copy(path, tmp_path / "copy.db")
        with opened(path):
            assert replayed(tmp_path / "copy.db", 1) == [(True, 2)]
