"""`FILE.py:FLOW` or `module:FLOW`: finds the flow that the command line names."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import plait
from plait.cli.target import Kind, TargetError, find, kind_of, where
from plait.errors import PlaitError

__all__ = ["load_flow"]


def load_flow(target: str) -> plait.Flow[Any]:
    """The flow that `target` names, or that the function without arguments returns which it names.

    Raises:
        TargetError: as `find`; or it is no flow, and the function gives none.
    """
    found = find(target, FLOW)
    if callable(found):
        return _checked(target, _called(target, found), f"{_name(found)}() returned")
    return _checked(target, found, "it is")


def _called(target: str, function: Any) -> Any:
    if inspect.isclass(function) or inspect.iscoroutinefunction(function):
        what = "a class" if inspect.isclass(function) else "an async function"
        raise TargetError(target, f"it is {what}, not a plait.Flow", REMEDY)
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise TargetError(target, f"it cannot be called without arguments: {error}", REMEDY) from None
    except ValueError:
        pass  # some built-in functions tell no signature
    try:
        return function()
    except PlaitError:
        raise
    except (Exception, SystemExit) as error:
        why = f"{_name(function)}() raised {type(error).__name__}: {error}{where(error)}"
        raise TargetError(target, why) from error


def _checked(target: str, found: Any, how: str) -> plait.Flow[Any]:
    if isinstance(found, plait.Flow):
        return found
    if isinstance(found, plait.Run):
        found.cancel()  # it will never be used, which it would complain of
        raise TargetError(target, f"{how} a run, not a plait.Flow", "Leave .run(...) out: plait run does it.")
    raise TargetError(target, f"{how} {kind_of(found)}, not a plait.Flow", REMEDY)


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _flow(statement: ast.stmt) -> str | None:
    """The name that a statement like `pages = plait.flow(...).map(...)` gives."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return None
    given = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    node: Any = statement.value
    while isinstance(node, ast.Call):
        function = node.func
        called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if called == "flow":
            return given.id if isinstance(given, ast.Name) else None
        node = getattr(function, "value", None)
    return None


def _may_be_meant(thing: Any) -> bool:
    if isinstance(thing, plait.Flow):
        return True
    if not inspect.isfunction(thing):
        return False
    parameters = inspect.signature(thing).parameters.values()
    return all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


FLOW = Kind("flow", "FLOW", _flow, _may_be_meant)
REMEDY = "A target is a global made by plait.flow(...), or a function without arguments that returns one."
