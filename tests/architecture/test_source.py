"""What holds for every source file of the package."""

import ast
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST = 300

#: Longer files, each with the reason why splitting it would hide its idea.
LONG_FOR_A_REASON: dict[str, str] = {
    "plait/engine/conductor.py": "the sums of one stretch, and all that is decided and done by them",
    "plait/engine/drive.py": "one run from start to end: cutting it would hide the order of its steps",
    "plait/engine/lane.py": "one lock guards it all, and who reads it has to see everything that is done under it",
    "plait/fit/width.py": "one search with all its states: who follows one step has to see the others",
    "plait/places/processes/pool.py": "starting, listening and ending share one thread's state",
}

#: They say nothing of what is inside.
EMPTY_NAMES = {"base", "common", "core", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}


def named(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


every_file = pytest.mark.parametrize("path", FILES, ids=named)


def test_the_source_is_there():
    assert len(FILES) > 5


@every_file
def test_it_begins_with_what_it_is_for(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{named(path)} has no docstring"
    assert tree.body[0].lineno == 1, f"the docstring of {named(path)} does not begin in the first line"


@every_file
def test_it_is_one_idea_long(path):
    lines = len(path.read_text().splitlines())
    if named(path) in LONG_FOR_A_REASON:
        assert lines > LONGEST, f"{named(path)} is short now: take it off the list"
    else:
        assert lines <= LONGEST, f"{named(path)} has {lines} lines: an idea is hiding in there; find its name"


@every_file
def test_its_name_means_something(path):
    parts = {part.removesuffix(".py").strip("_") for part in path.relative_to(SOURCE).parts}
    assert not parts & EMPTY_NAMES


@every_file
def test_what_it_offers_is_named_and_there(path):
    """`__all__` exists where something public is defined, holds what it names, and names nothing twice."""
    if path.name == "__main__.py":
        return
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = {node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")}
    module = importlib.import_module(module_of(path))
    names = getattr(module, "__all__", None)
    if names is None:
        assert not public, f"{named(path)} defines {sorted(public)} and has no __all__"
        return
    assert len(set(names)) == len(names)
    missing = [name for name in names if not hasattr(module, name)]
    assert not missing, f"__all__ of {named(path)} names what is not there: {missing}"


def test_every_folder_is_a_package():
    folders = {path.parent for path in FILES if path.parent != SOURCE}
    assert not [named(folder) for folder in folders if not (folder / "__init__.py").exists()]
