"""`FILE.py:NAME` or `module:NAME`: finds what the command line names."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

from plait.errors import PlaitError, nearest

__all__ = ["Kind", "TargetError", "find", "kind_of", "load", "where"]


#: Where Plait's own code is.
_OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a target may be.

    Parameters:
        word, letters: what it is called, in a sentence and in a form.
        made_by: whether a statement of a file that was not run seems to make one; if so, its name.
        fits: whether an object may be meant.
    """

    word: str
    letters: str
    made_by: Callable[[ast.stmt], str | None]
    fits: Callable[[Any], bool]

    @property
    def forms(self) -> str:
        """How to write one."""
        return f"A target is FILE.py:{self.letters} or module:{self.letters}."


class TargetError(PlaitError, ValueError):
    """The target names nothing that can be run."""

    def __init__(self, target: str, why: str, remedy: str = "") -> None:
        self.target, self.why, self.remedy = target, why, remedy
        super().__init__(f"{target}: {why}. {remedy}".rstrip())


def load(target: str) -> Callable[[Any], Any]:
    """The function that `target` names.

    Raises:
        TargetError: as `find`; or it cannot take one item.
    """
    return _checked(target, find(target, FUNCTION))


def find(target: str, kind: Kind) -> Any:
    """What `target` names.

    The file's folder (for a module: the current folder) becomes `sys.path[0]` and the file is imported under its own
    name, so that worker processes can import it too.

    Raises:
        TargetError: there is no such file, module or name in it; tells the nearest.
    """
    place, _, name = target.rpartition(":")
    if not place or not name:
        path = target.rstrip(":")
        example = f" Try {path}:{_example(path, kind)}" if path.endswith(".py") else ""
        raise TargetError(target, f"it does not say which {kind.word} to run", kind.forms + example)
    module = _from_file(target, place, kind) if place.endswith(".py") else _from_module(target, place, kind)
    return _attribute(target, module, name, kind)


def _function(statement: ast.stmt) -> str | None:
    return statement.name if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) else None


FUNCTION = Kind("function", "FUNC", _function, callable)


def _example(path: str, kind: Kind) -> str:
    """The last that a file seems to make: often its main one. The file is not run."""
    try:
        with open(path, "rb") as stream:
            body = ast.parse(stream.read()).body
    except (OSError, SyntaxError, ValueError):
        return kind.letters
    return next(filter(None, map(kind.made_by, reversed(body))), kind.letters)


def _from_file(target: str, path: str, kind: Kind) -> ModuleType:
    folder, file = os.path.split(os.path.abspath(path))
    if not os.path.isfile(path):
        there = [name for name in os.listdir(folder) if name.endswith(".py")] if os.path.isdir(folder) else []
        raise TargetError(target, f"there is no file {path}", nearest(file, there).strip())
    stem = file.removesuffix(".py")
    if "." in stem:
        raise TargetError(target, f"Python cannot import a file called {file}", "Rename it: no dots but that of .py.")
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    module = _imported(target, stem, kind)
    found = getattr(module, "__file__", None)
    if found is None or not os.path.samefile(found, path):
        why = f"Python has another module called {stem} ({found or 'built in'})"
        raise TargetError(target, why, "Rename the file.")
    return module


def _from_module(target: str, name: str, kind: Kind) -> ModuleType:
    sys.path.insert(0, os.getcwd())
    return _imported(target, name, kind)


def _imported(target: str, name: str, kind: Kind) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise TargetError(target, f"there is no module {error.name!r} here", kind.forms) from None
        raise TargetError(target, f"its import failed: {error}{where(error)}", "Install what it needs.") from None
    except SyntaxError as error:
        raise TargetError(target, f"{error.msg} ({error.filename}, line {error.lineno})") from None
    except (Exception, SystemExit) as error:
        hint = (
            f"Give it as module:{kind.letters}, from the folder above its package."
            if "relative import" in str(error)
            else ""
        )
        if isinstance(error, SystemExit):
            hint = 'Put what ends the program under: if __name__ == "__main__":'
        why = f"its import raised {type(error).__name__}: {error}{where(error)}"
        raise TargetError(target, why, hint) from error


def where(error: BaseException) -> str:
    """The innermost place of the user's that an error came from, in brackets."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if "importlib" not in frame.filename and not frame.filename.startswith(_OURS)]
    return f" ({outside[-1].filename}, line {outside[-1].lineno})" if outside else ""


def _attribute(target: str, module: ModuleType, name: str, kind: Kind) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = _fitting(found, kind)
            close = difflib.get_close_matches(part, known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(known[:10]) or f'no {kind.word}s'}."
            raise TargetError(target, f"{getattr(found, '__name__', found)} has no {part!r}", hint)
        found = getattr(found, part)
    return found


def _fitting(holder: Any, kind: Kind) -> list[str]:
    """What of `holder` may be meant and is its own, public names first."""
    home = getattr(holder, "__name__", None)
    named = getattr(holder, "__dict__", {})  # objects with slots have none, nor have those of many types in C
    things = {name: thing for name, thing in named.items() if kind.fits(thing) and not name.startswith("__")}
    own = [
        name
        for name, thing in things.items()
        if getattr(thing, "__module__", home) == home or not hasattr(thing, "__qualname__")  # an object has its class's
    ]
    return sorted(own, key=lambda name: (name.startswith("_"), name))


def kind_of(named: object) -> str:
    """`"an int"`, `"a module"`."""
    name = type(named).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _checked(target: str, named: object) -> Callable[[Any], Any]:
    found = cast(Callable[[Any], Any], named)
    if not callable(named):
        raise TargetError(target, f"it is {kind_of(named)}, not a function", FUNCTION.forms)
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return found  # some built-in functions tell no signature
    try:
        signature.bind(None)
    except TypeError as error:
        why = f"it cannot be called with one item: {error}"
        raise TargetError(target, why, f"It is {getattr(found, '__name__', 'a callable')}{signature}.") from None
    return found
