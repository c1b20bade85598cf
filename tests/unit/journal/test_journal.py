import dataclasses
import pathlib

import pytest

from plait.errors import OptionError
from plait.journal.journal import CODECS, Journal


def test_a_path_is_enough():
    assert Journal("run.db").codec == "msgpack"
    assert Journal(pathlib.Path("run.db"), codec="json").path == pathlib.Path("run.db")


@pytest.mark.parametrize("path", ["", None, 5, b"run.db", ":memory:", "a\0b"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(OptionError, match=r"journal=.*takes the path of a file"):
        Journal(path)


@pytest.mark.parametrize("codec", ["", None, "mspack", "pickles", [], "MSGPACK"])
def test_an_unknown_codec_is_refused_with_the_known_ones(codec):
    with pytest.raises(OptionError, match=r"codec=.*'msgpack', 'json', 'pickle'"):
        Journal("run.db", codec=codec)


def test_a_near_miss_is_named():
    with pytest.raises(OptionError, match="Did you mean 'msgpack'"):
        Journal("run.db", codec="msgpck")


def test_it_stays_as_it_is():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Journal("run.db").codec = "json"
    assert {Journal("run.db", codec) for codec in CODECS} == {Journal("run.db", codec) for codec in CODECS}
