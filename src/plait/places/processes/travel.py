"""What travels between processes, and what is said of that which cannot.

Functions of importable modules go by reference; lambdas, closures and whatever `__main__` or a notebook defines go by
value (cloudpickle), once for each worker and run. The classes of `__main__` are shipped once, too, and put into the
worker's `__main__`, so that their objects then travel by plain pickle: 3 us an object instead of 200.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from plait.errors import CannotTravel
from plait.places.processes import clouded
from plait.places.processes.portable import by_value, portable
from plait.places.processes.setting import import_path
from plait.places.processes.wire import dumps
from plait.styles.batch import Batch, raised

__all__ = ["Shipped", "dumps_each", "dumps_items", "load", "ship", "text", "why_not"]

#: Seconds to copy a byte into shared memory and out of it.
COPY = 4e-10
#: Bytes of a function with all that it drags in, above which it is refused.
HUGE = 512 << 20
REMEDY = (
    "Open it inside the function, pass it as resources={...}, define it in a module that workers can import, "
    "or choose model='threads'."
)


#: Which modules go by value is a global of cloudpickle.
_shipping = threading.RLock()


class Shipped(NamedTuple):
    """A function (or resources) as bytes, and the definitions of `__main__` that it may need."""

    blob: bytes
    definitions: tuple[tuple[str, bytes], ...]


def ship(thing: Any, what: str) -> Shipped:
    """`thing` as bytes.

    Raises:
        CannotTravel: naming what is in the way.
    """
    with contextlib.suppress(Exception):
        if _importable(thing):
            return Shipped(pickle.dumps(thing, 5), ())
    import cloudpickle  # slow to import, and functions of modules do without

    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    with _shipping:
        return _by_value(thing, what, cloudpickle, module)


def _by_value(thing: Any, what: str, cloudpickle: Any, module: Any) -> Shipped:
    whole = module is not None and not _found_again(module) and module.__name__ != "__main__"
    if whole:
        cloudpickle.register_pickle_by_value(module)
    try:
        blob = clouded.dumps(thing)
        definitions = tuple(_definitions())
    except Exception as error:
        raise CannotTravel(what, f"{_culprit(thing)}{error}", REMEDY) from error
    finally:
        if whole:
            cloudpickle.unregister_pickle_by_value(module)
    if len(blob) > HUGE:
        raise CannotTravel(
            what,
            f"with what it drags in it weighs {len(blob) >> 20} MiB, most of it {_heaviest(thing)}",
            "Load that inside the function or with resources={...}, or pass it as part of the items.",
        )
    names = clouded.by_name_in_main(blob, {name for name, _ in definitions})
    if names:
        why = (
            f"it needs {names[0]!r}, which pickle finds only by its name in __main__, and a worker has another __main__"
        )
        raise CannotTravel(what, why, REMEDY)
    return Shipped(blob, definitions)


def why_not(thing: Any) -> str | None:
    """Why `thing` cannot be sent to a worker process; `None`: it can."""
    try:
        if callable(thing):
            ship(thing, "It")
        elif isinstance(refused := dumps_items([thing], whole=False), dict):
            return refused[0].why
    except CannotTravel as error:
        return error.why
    return None


def cost(things: list[Any]) -> float:
    """Seconds that it takes to pickle `things`, copy them to another process and unpickle them there."""
    began = time.perf_counter()
    body, buffers = dumps(things)
    pickle.loads(body, buffers=buffers)
    return time.perf_counter() - began + COPY * (len(body) + sum(buffer.nbytes for buffer in buffers))


def load(shipped: Shipped) -> Any:
    """What `ship` was given.

    Raises:
        CannotTravel: this process cannot import what it needs.
    """
    main = sys.modules["__main__"]
    try:
        for name, blob in shipped.definitions:
            setattr(main, name, pickle.loads(blob))
        return pickle.loads(shipped.blob)
    except Exception as error:
        why = f"a worker could not load it: {type(error).__name__}: {error}"
        raise CannotTravel("The function", why, REMEDY) from error


def _importable(thing: Any) -> bool:
    """Whether the worker will find `thing` by its name. What has none of its own (a dict, a partial) is not asked."""
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    return (
        module is not None and module.__name__ != "__main__" and hasattr(thing, "__qualname__") and _found_again(module)
    )


def _found_again(module: Any) -> bool:
    name = module.__name__
    if name in sys.builtin_module_names:
        return True
    try:
        top = name.partition(".")[0]
        spec = importlib.util.find_spec(top) if top not in sys.modules or top == name else sys.modules[top].__spec__
    except (ValueError, ImportError, AttributeError):
        return False
    return spec is not None and _on_path(module, spec)


def _on_path(module: Any, spec: Any) -> bool:
    file = getattr(module, "__file__", None)
    if file is None or spec.origin in ("built-in", "frozen"):
        return True
    top = module.__name__.partition(".")[0]
    for entry in import_path():
        stem = os.path.join(os.path.abspath(entry) if os.path.isabs(file) else entry, top)
        if file == stem + ".py" or file.startswith((stem + os.sep, stem + ".")):
            return True
    return type(spec.loader).__name__ not in ("SourceFileLoader", "SourcelessFileLoader")


def _definitions() -> list[tuple[str, bytes]]:
    main = sys.modules.get("__main__")
    found = []
    for name, thing in list(vars(main).items()) if main is not None else ():
        if isinstance(thing, type) and thing.__module__ == "__main__":
            with contextlib.suppress(Exception):
                found.append((name, clouded.dumps(thing)))
    return found


def _parts(thing: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    code = getattr(thing, "__code__", None)
    if code is not None:
        cells = getattr(thing, "__closure__", None) or ()
        for name, cell in zip(code.co_freevars, cells, strict=False):
            with contextlib.suppress(ValueError):
                parts[f"the closed-over variable {name!r}"] = cell.cell_contents
        for name in code.co_names:
            if name in thing.__globals__:
                parts[f"the global {name!r}"] = thing.__globals__[name]
    elif isinstance(thing, Mapping):
        parts = {f"{name!r}": value for name, value in thing.items()}
    return parts


def _culprit(thing: Any) -> str:
    for name, part in _parts(thing).items():
        try:
            clouded.dumps(part)
        except Exception:
            return f"{name} is a {type(part).__name__}: "
    return ""


def _heaviest(thing: Any) -> str:
    weights = {name: len(clouded.dumps(part)) for name, part in _parts(thing).items()}
    return max(weights, key=weights.__getitem__, default="its own code")


def dumps_each(batch: Batch) -> tuple[bytes, list[memoryview]]:
    """Pickle a batch some of whose results refuse: by value if they can, as failures if not."""
    values, errors = list(batch.values), list(batch.errors)
    failed = {at for at, _ in errors}
    for at, value in enumerate(values):
        if at in failed:
            continue
        try:
            dumps(value)
        except Exception as plain:
            try:
                values[at] = by_value(value)
            except Exception:
                values[at] = None
                remedy = "Return plain data instead, or choose model='threads'."
                error = CannotTravel(f"The result (of type {type(value).__name__!r})", str(plain), remedy)
                errors.append((at, raised(error, 0.0, below=0)))
    errors = [(at, one._replace(error=portable(one.error))) for at, one in errors]
    return dumps(tuple(batch._replace(values=values, errors=sorted(errors, key=lambda e: e[0]))))


def dumps_items(items: list[Any], *, whole: bool) -> tuple[bytes, list[memoryview]] | dict[int, CannotTravel]:
    """Pickle items, `whole` ones by value; those that cannot travel are named by position instead."""
    if not whole:
        with contextlib.suppress(Exception):
            return dumps(items)
    made, refused = list(items), dict[int, CannotTravel]()
    for at, item in enumerate(items):
        try:
            if whole:
                raise pickle.PicklingError
            dumps(item)
        except Exception as plain:
            try:
                made[at] = by_value(item)
            except Exception as error:
                why = str(error) or str(plain)
                refused[at] = CannotTravel(
                    f"The item (of type {type(item).__name__!r})",
                    why,
                    "Pass plain data instead, or choose model='threads'.",
                )
    return refused or dumps(made)


def text(error: BaseException) -> bytes:
    """An exception as one line."""
    return f"{type(error).__name__}: {error}".encode(errors="replace")
