"""`FILE.py:FUNC` or `module:FUNC`: finds the function that the command line names."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

from plait.errors import PlaitError, nearest

__all__ = ["TargetError", "load"]

FORMS = "A target is FILE.py:FUNC or module:FUNC."


class TargetError(PlaitError, ValueError):
    """The target names no function that can be called with one item."""

    def __init__(self, target: str, why: str, remedy: str = "") -> None:
        self.target, self.why, self.remedy = target, why, remedy
        super().__init__(f"{target}: {why}. {remedy}".rstrip())


def load(target: str) -> Callable[[Any], Any]:
    """The function that `target` names.

    The file's folder (for a module: the current folder) becomes `sys.path[0]` and the file is imported under its own
    name, so that worker processes can import it too.

    Raises:
        TargetError: there is no such file, module or function, or it cannot take one item; names the nearest.
    """
    place, _, name = target.rpartition(":")
    if not place or not name:
        example = f" Try {target.rstrip(':')}:{_some_function(target)}" if target.rstrip(":").endswith(".py") else ""
        raise TargetError(target, "it does not say which function to run", FORMS + example)
    module = _from_file(target, place) if place.endswith(".py") else _from_module(target, place)
    return _checked(target, _attribute(target, module, name))


def _some_function(path: str) -> str:
    """The last function that a file defines: often its main one. The file is not run."""
    import ast

    try:
        with open(path.rstrip(":"), "rb") as stream:
            body = ast.parse(stream.read()).body
    except (OSError, SyntaxError, ValueError):
        return "FUNC"
    return next((d.name for d in reversed(body) if isinstance(d, (ast.FunctionDef, ast.AsyncFunctionDef))), "FUNC")


def _from_file(target: str, path: str) -> ModuleType:
    folder, file = os.path.split(os.path.abspath(path))
    if not os.path.isfile(path):
        there = [name for name in os.listdir(folder) if name.endswith(".py")] if os.path.isdir(folder) else []
        raise TargetError(target, f"there is no file {path}", nearest(file, there).strip())
    stem = file.removesuffix(".py")
    if "." in stem:
        raise TargetError(target, f"Python cannot import a file called {file}", "Rename it: no dots but that of .py.")
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    module = _imported(target, stem)
    found = getattr(module, "__file__", None)
    if found is None or not os.path.samefile(found, path):
        why = f"Python has another module called {stem} ({found or 'built in'})"
        raise TargetError(target, why, "Rename the file.")
    return module


def _from_module(target: str, name: str) -> ModuleType:
    sys.path.insert(0, os.getcwd())
    return _imported(target, name)


def _imported(target: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise TargetError(target, f"there is no module {error.name!r} here", FORMS) from None
        raise TargetError(target, f"its import failed: {error}{_where(error)}", "Install what it needs.") from None
    except SyntaxError as error:
        raise TargetError(target, f"{error.msg} ({error.filename}, line {error.lineno})") from None
    except (Exception, SystemExit) as error:
        hint = "Give it as module:FUNC, from the folder above its package." if "relative import" in str(error) else ""
        if isinstance(error, SystemExit):
            hint = 'Put what ends the program under: if __name__ == "__main__":'
        why = f"its import raised {type(error).__name__}: {error}{_where(error)}"
        raise TargetError(target, why, hint) from error


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    return f" ({outside[-1].filename}, line {outside[-1].lineno})" if outside else ""


def _attribute(target: str, module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        known = _callables(found)
        if not hasattr(found, part):
            close = difflib.get_close_matches(part, known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(known[:10]) or 'no functions'}."
            raise TargetError(target, f"{getattr(found, '__name__', found)} has no {part!r}", hint)
        found = getattr(found, part)
    return found


def _callables(holder: Any) -> list[str]:
    """What of `holder` is callable and its own, public names first."""
    home = getattr(holder, "__name__", None)
    things = {name: thing for name, thing in vars(holder).items() if callable(thing) and not name.startswith("__")}
    own = [name for name, thing in things.items() if getattr(thing, "__module__", home) == home]
    return sorted(own, key=lambda name: (name.startswith("_"), name))


def _checked(target: str, named: object) -> Callable[[Any], Any]:
    found = cast(Callable[[Any], Any], named)
    if not callable(named):
        raise TargetError(target, f"it is a {type(named).__name__}, not a function", FORMS)
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
