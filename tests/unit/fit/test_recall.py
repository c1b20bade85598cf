"""What earlier runs learned: found again whole, or not at all; never in the real cache of whoever runs these tests."""

import dataclasses
import json
import math
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.fit import recall as module
from plait.fit import recalled
from plait.fit.codehash import code_key
from plait.fit.evidence import Evidence
from plait.fit.recall import Memory, Recalled, default_folder, recall, remember
from plait.placement import Placement

KEY, OTHER = "0123456789abcdef" * 2, "f" * 32
#: A value other than the default for every field that there is.
OF_KIND = {
    "int": 3,
    "float": 0.3125,
    "float | None": 0.625,
    "int | None": 5,
    "bool": True,
    "str": "a word",
    "tuple[str, ...]": ("it is ten past \u4e09", "a second one"),
}
LEARNED = Recalled(
    Evidence(**{field.name: OF_KIND[field.type] for field in dataclasses.fields(Evidence)}),
    Placement("processes", "threads", workers=2, width=8),
    rate=123.456,
    runs=7,
)
needs_posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes are POSIX")


def work(item):
    return item * 1000


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's memory lies; made when first written to."""
    for name in ("CI", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLAIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def memory(folder: Path) -> Memory:
    return Memory(folder)


def put_text(memory: Memory, text: bytes | str, key: str = KEY) -> Path:
    """What another program, or a broken disk, left in the place of a file."""
    assert memory.put(key, LEARNED)
    path = Path(memory.folder, f"{key}.json")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def text_of(memory: Memory) -> dict:
    assert memory.put(KEY, LEARNED)
    return json.loads(Path(memory.folder, f"{KEY}.json").read_text())


# ---------------------------------------------------------------------------------------------------------- round trip


def test_nothing_is_known_at_first(folder):
    assert recall(work) is None
    assert not folder.exists()


def test_what_is_remembered_is_recalled():
    remember(work, LEARNED)
    assert recall(work) == LEARNED
    assert recall(lambda item: item * 1001) is None


def test_another_name_finds_it():
    def renamed(thing):
        return thing * 1000

    remember(work, LEARNED)
    assert recall(renamed) == LEARNED


def test_the_last_one_counts():
    remember(work, LEARNED)
    remember(work, dataclasses.replace(LEARNED, runs=8))
    assert recall(work).runs == 8


def test_every_field_comes_back(memory):
    """A field of `Evidence` of a kind that a file cannot hold would be forgotten without a word."""
    assert set(recalled._fields(Evidence)) == {field.name for field in dataclasses.fields(Evidence)}
    assert set(recalled._fields(Placement)) == {field.name for field in dataclasses.fields(Placement)}
    assert memory.put(KEY, LEARNED)
    found = memory.get(KEY)
    assert found == LEARNED
    assert [type(value) for value in dataclasses.astuple(found.evidence)] == [
        type(value) for value in dataclasses.astuple(LEARNED.evidence)
    ]


@given(
    st.builds(
        Recalled,
        st.builds(
            Evidence,
            items=st.integers(5, 10**9),
            seconds=st.floats(0, 1e6),
            seconds_max=st.floats(0, 1e6),
            seconds_mean=st.floats(0, 1e6),
            cpu_share=st.floats(0, 1),
            gil_held=st.none() | st.floats(0, 1),
            first_call=st.floats(0, 1e6),
            bytes_in=st.none() | st.floats(0, 1e12),
            bytes_out=st.none() | st.floats(0, 1e12),
            raised=st.integers(0, 5),
            notes=st.lists(st.text(max_size=20), max_size=3).map(tuple),
        ),
        st.sampled_from(["here", "processes"]).flatmap(
            lambda place: st.sampled_from(["serial", "threads", "loop"]).flatmap(
                lambda style: st.builds(
                    Placement,
                    st.just(place),
                    st.just(style),
                    st.none() | st.integers(1, 1 if place == "here" else 4096),
                    st.none() | st.integers(1, 1 if style == "serial" else 10**6),
                )
            )
        ),
        rate=st.floats(0, 1e12),
        runs=st.integers(1, 10**6),
    )
)
def test_round_trip(learned):
    text = recalled.text(learned, KEY)
    assert recalled.parse(text, KEY) == learned
    assert len(text) <= recalled.WRITTEN


def test_long_notes_are_left_out_rather_than_all(memory):
    talkative = dataclasses.replace(LEARNED.evidence, notes=("much to say " * 50,) * 50)
    assert memory.put(KEY, dataclasses.replace(LEARNED, evidence=talkative))
    assert Path(memory.folder, f"{KEY}.json").stat().st_size <= 2048
    assert memory.get(KEY).evidence == dataclasses.replace(LEARNED.evidence, notes=())


def test_files_of_other_versions_are_read(memory):
    whole = text_of(memory)
    whole["evidence"] |= {"a_field_of_later": [1, {}]}
    whole["placement"] |= {"colour": "blue"}
    del whole["evidence"]["notes"], whole["evidence"]["bytes_in"]
    put_text(memory, json.dumps({**whole, "more": 1}))
    evidence = dataclasses.replace(LEARNED.evidence, notes=(), bytes_in=None)
    assert memory.get(KEY) == dataclasses.replace(LEARNED, evidence=evidence)


# -------------------------------------------------------------------------------------------------------- not believed

ABSURD = [
    ("evidence", "seconds", math.nan),
    ("evidence", "seconds", math.inf),
    ("evidence", "seconds_max", -1.0),
    ("evidence", "seconds_mean", "0.5"),
    ("evidence", "seconds", True),
    ("evidence", "seconds", None),
    ("evidence", "seconds", 10**400),
    ("evidence", "cpu_share", 1.5),
    ("evidence", "gil_held", 2),
    ("evidence", "items", 0),
    ("evidence", "items", 3.5),
    ("evidence", "raised", 4),
    ("evidence", "notes", "text"),
    ("evidence", "notes", [1]),
    ("placement", "place", "the moon"),
    ("placement", "place", ["here"]),
    ("placement", "place", "interpreters"),
    ("placement", "style", "rough"),
    ("placement", "workers", 0),
    ("placement", "workers", 10**9),
    ("placement", "width", -4),
    ("placement", "width", 2.0),
    ("placement", "width", 10**9),
    (None, "rate", math.nan),
    (None, "rate", -1),
    (None, "rate", [1]),
    (None, "runs", 0),
    (None, "runs", "many"),
    (None, "format", 0),
    (None, "key", OTHER),
    (None, "evidence", []),
    (None, "placement", None),
]


@pytest.mark.parametrize(("table", "name", "value"), ABSURD)
def test_absurd_figures_are_not_believed(memory, table, name, value):
    whole = text_of(memory)
    (whole[table] if table else whole)[name] = value
    put_text(memory, json.dumps(whole))
    assert memory.get(KEY) is None


@pytest.mark.parametrize(
    ("table", "name"), [("evidence", "seconds"), ("placement", "style"), (None, "rate"), (None, "key")]
)
def test_a_part_that_is_missing(memory, table, name):
    whole = text_of(memory)
    del (whole[table] if table else whole)[name]
    put_text(memory, json.dumps(whole))
    assert memory.get(KEY) is None


def test_absurd_figures_are_not_written(memory, folder):
    for evidence in ({"seconds": math.nan}, {"cpu_share": 7.0}, {"items": 0}, {"notes": (object(),)}):
        assert not memory.put(
            KEY, dataclasses.replace(LEARNED, evidence=dataclasses.replace(LEARNED.evidence, **evidence))
        )
    assert not memory.put(KEY, dataclasses.replace(LEARNED, rate=math.inf))
    assert not memory.put("../../escape", LEARNED)
    assert not memory.put(KEY, "nonsense")
    assert not folder.exists()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"0",
        b"\xff\xfe",
        b"\0" * 300,
        b'"' + b"x" * 99,
        b"[" * 9000,
        b" " * 20_000,
        b"9" * 9000,
    ],
)
def test_what_is_no_file_of_ours(memory, text):
    put_text(memory, text)
    assert memory.get(KEY) is None


def test_a_file_that_is_cut_anywhere(memory):
    whole = recalled.text(LEARNED, KEY)
    assert all(recalled.parse(whole[:length], KEY) is None for length in range(len(whole)))


def test_a_file_that_grew_too_large(memory):
    whole = recalled.text(LEARNED, KEY)
    put_text(memory, whole + b" " * (recalled.READ - len(whole)))
    assert memory.get(KEY) == LEARNED
    put_text(memory, whole + b" " * (recalled.READ - len(whole) + 1))
    assert memory.get(KEY) is None


@given(st.binary(max_size=400))
def test_any_bytes_are_harmless(data):
    assert recalled.parse(data, KEY) is None


@given(st.lists(st.tuples(st.integers(0, 339), st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bytes_never_give_absurd_figures(flips):
    data = bytearray(recalled.text(LEARNED, KEY))
    for place, byte in flips:
        data[place] = byte
    found = recalled.parse(bytes(data), KEY)
    if found is not None:
        evidence = found.evidence
        figures = [value for value in dataclasses.astuple(evidence) if isinstance(value, (int, float))]
        assert all(0 <= value <= 1e15 for value in [*figures, found.rate])
        assert evidence.cpu_share <= 1
        assert evidence.raised <= evidence.items
        assert found.runs >= 1
        assert found.placement.model in (
            "processes",
            "processes+threads",
            "processes+async",
            "serial",
            "threads",
            "async",
        )


def test_what_is_old_is_forgotten(memory):
    assert memory.put(KEY, LEARNED)
    path = Path(memory.folder, f"{KEY}.json")
    for days, known in ((89, True), (91, False)):
        then = time.time() - days * 86_400
        os.utime(path, (then, then))
        assert (memory.get(KEY) is not None) is known
    assert memory.put(KEY, LEARNED)
    assert memory.get(KEY) == LEARNED


@needs_posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write(memory, mode):
    assert memory.put(KEY, LEARNED)
    os.chmod(Path(memory.folder, f"{KEY}.json"), mode)
    assert memory.get(KEY) is None


@needs_posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_may_write(memory, folder, mode):
    assert memory.put(KEY, LEARNED)
    os.chmod(folder, mode)
    assert memory.get(KEY) is None
    assert not memory.put(OTHER, LEARNED)
    assert memory.prune() == 0
    assert len(os.listdir(folder)) == 1


@needs_posix
def test_what_another_user_owns(memory, monkeypatch):
    assert memory.put(KEY, LEARNED)
    me = os.geteuid()
    monkeypatch.setattr(module.os, "geteuid", lambda: me + 1)
    assert memory.get(KEY) is None
    assert not memory.put(OTHER, LEARNED)


@needs_posix
def test_links_and_pipes_are_not_read(memory, folder, tmp_path):
    assert memory.put(OTHER, LEARNED)
    (tmp_path / "elsewhere").write_bytes(recalled.text(LEARNED, KEY))
    os.chmod(tmp_path / "elsewhere", 0o600)
    os.symlink(tmp_path / "elsewhere", folder / f"{KEY}.json")
    assert memory.get(KEY) is None
    os.unlink(folder / f"{KEY}.json")
    os.mkfifo(folder / f"{KEY}.json", 0o600)
    assert memory.get(KEY) is None


@needs_posix
def test_nobody_else_may_read_it(memory, folder):
    previous = os.umask(0)
    try:
        assert memory.put(KEY, LEARNED)
    finally:
        os.umask(previous)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / f"{KEY}.json").stat().st_mode & 0o777 == 0o600


# ----------------------------------------------------------------------------------------------------------- its place


@pytest.mark.parametrize("value", ["off", "OFF", " Off ", "0", "no", "False", "none"])
def test_turned_off(monkeypatch, tmp_path, value):
    monkeypatch.setenv("PLAIT_CACHE", value)
    monkeypatch.chdir(tmp_path)
    remember(work, LEARNED)
    assert default_folder() is None
    assert recall(work) is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("value", "off"), [("true", True), ("1", True), ("", False), ("0", False), ("false", False)])
def test_off_where_tests_are_run(monkeypatch, folder, value, off):
    monkeypatch.setenv("CI", value)
    assert default_folder() == str(folder)
    for default in ("", "on"):
        monkeypatch.setenv("PLAIT_CACHE", default)
        assert (default_folder() is None) is off


def test_default_folders(monkeypatch, tmp_path):
    monkeypatch.delenv("PLAIT_CACHE")
    monkeypatch.setattr(module.sys, "platform", "linux")
    assert default_folder() == str(tmp_path / "home/.cache/plait/fit")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == str(tmp_path / "home/.cache/plait/fit")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == str(tmp_path / "xdg/plait/fit")
    remember(work, LEARNED)
    assert recall(work) == LEARNED
    assert os.listdir(tmp_path / "xdg/plait/fit") == [f"{code_key(work)}.json"]
    monkeypatch.setattr(module.sys, "platform", "darwin")
    assert default_folder() == str(tmp_path / "home/Library/Caches/plait/fit")


@pytest.mark.parametrize("home", ["", " ", "/"])
def test_the_root_folder_is_no_home(monkeypatch, home):
    monkeypatch.delenv("PLAIT_CACHE")
    monkeypatch.setenv("HOME", home)
    assert default_folder() is None


def test_a_home_that_cannot_be_written_to(monkeypatch, tmp_path):
    monkeypatch.delenv("PLAIT_CACHE")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))  # below a file nothing can be made, not even by root
    remember(work, LEARNED)
    assert recall(work) is None


def test_without_a_home(monkeypatch, tmp_path):
    monkeypatch.delenv("PLAIT_CACHE")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module.os.path, "expanduser", lambda path: path)  # what it does when it knows no home
    remember(work, LEARNED)
    assert default_folder() is None
    assert recall(work) is None
    assert os.listdir(tmp_path) == []


def test_a_place_where_nothing_can_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file/below", Path("/proc/nothing/here"), tmp_path / ("x" * 300)):
        monkeypatch.setenv("PLAIT_CACHE", str(place))
        remember(work, LEARNED)
        assert recall(work) is None


@pytest.mark.parametrize("call", ["open", "write", "replace", "makedirs"])
def test_a_disk_that_fails(monkeypatch, memory, folder, call):
    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(module.os, call, fail)
        assert not memory.put(KEY, LEARNED)
    assert not folder.exists() or os.listdir(folder) == []
    assert memory.put(KEY, LEARNED)


def test_a_disk_that_is_full_after_some_bytes(monkeypatch, memory, folder):
    write = os.write
    with monkeypatch.context() as broken:
        broken.setattr(module.os, "write", lambda descriptor, data: write(descriptor, data[:20]))
        assert not memory.put(KEY, LEARNED)
    assert os.listdir(folder) == []


def test_of_what_has_no_key_nothing_is_kept(folder):
    remember(3, LEARNED)
    assert recall(3) is None
    assert not folder.exists()


def test_a_folder_that_is_deleted_is_made_again(memory, folder):
    assert memory.put(KEY, LEARNED)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert memory.get(KEY) is None
    assert memory.put(KEY, LEARNED)
    assert memory.get(KEY) == LEARNED


# ------------------------------------------------------------------------------------------------------------- pruning


def aged(path: Path, seconds: float) -> Path:
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_the_oldest_go(folder, monkeypatch):
    monkeypatch.setattr(module, "_now_and_then", lambda: False)
    memory = Memory(folder, kept=3)
    for number in range(6):
        assert memory.put(f"{number:032x}", LEARNED)
        aged(folder / f"{number:032x}.json", 1000 - number)
    monkeypatch.setattr(module, "_now_and_then", lambda: True)
    assert memory.put(f"{6:032x}", LEARNED)
    assert sorted(os.listdir(folder)) == [f"{number:032x}.json" for number in (4, 5, 6)]


def test_the_forgotten_and_the_unfinished_go_and_nothing_else(memory, folder):
    assert memory.put(KEY, LEARNED)
    assert memory.put(OTHER, LEARNED)
    aged(folder / f"{OTHER}.json", 91 * 86_400)
    names = {
        "thesis.json",
        "0123.json",
        f"{KEY}.json.bak",
        f"{KEY}.json.0123456789abcdef.tmp",
        f"{OTHER}.json.{'f' * 16}.tmp",
    }
    for name in names:
        (folder / name).write_text("")
        if name != f"{KEY}.json.0123456789abcdef.tmp":
            aged(folder / name, 365 * 86_400)
    (folder / ("a" * 32 + ".json")).mkdir()
    assert memory.prune() == 2
    assert set(os.listdir(folder)) == {*names, f"{KEY}.json", "a" * 32 + ".json"} - {f"{OTHER}.json.{'f' * 16}.tmp"}


def test_once_in_a_while():
    assert 0 < sum(module._now_and_then() for _ in range(3200)) < 400
