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
from collections.abc import Mapping
from typing import Any, NamedTuple

from plait.errors import CannotTravel
from plait.places.processes.wire import dumps
from plait.styles.batch import Batch, raised

__all__ = ["Setting", "Shipped", "apply_setting", "dumps_each", "dumps_items", "load", "portable", "setting", "ship", "why_not"]

#: Bytes of a function with all that it drags in, above which it is refused.
HUGE = 512 << 20


class Shipped(NamedTuple):
    """A function (or resources) as bytes, and the definitions of `__main__` that it may need."""

    blob: bytes
    definitions: tuple[tuple[str, bytes], ...]


class Setting(NamedTuple):
    """What a worker takes over from its parent for each run."""

    cwd: str
    path: list[str]
    environ: dict[str, str]
    levels: dict[str, int]
    blas: int


def in_worker() -> None:
    """Prepare this process to be a worker."""
    from plait.styles.threads import inside

    inside.set(True)
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()  # forked workers would all draw the same numbers


def setting(blas: int) -> Setting:
    """This process's own, with `blas` threads for each worker's linear algebra."""
    logging: Any = sys.modules.get("logging")
    levels = {"": 30}
    if logging is not None:
        known = logging.root.manager.loggerDict.items()
        levels = {name: logger.level for name, logger in known if getattr(logger, "level", 0)}
        levels[""] = logging.root.level
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = "/"
    return Setting(cwd, [os.path.abspath(p) if p == "" else p for p in sys.path], dict(os.environ), levels, blas)


def apply_setting(new: Setting) -> None:
    """Make it this process's own."""
    if sys.path != new.path:
        sys.path[:] = new.path
        importlib.invalidate_caches()
    with contextlib.suppress(OSError):
        os.chdir(new.cwd)
    wanted = {**dict.fromkeys(BLAS, str(new.blas)), **new.environ}
    if dict(os.environ) != wanted:
        for name in set(os.environ) - set(wanted):
            del os.environ[name]
        os.environ.update(wanted)
    if "numpy" in sys.modules and not any(name in new.environ for name in BLAS):
        import threadpoolctl

        threadpoolctl.threadpool_limits(new.blas)


#: How many threads linear algebra takes, unless the user has set one of them: each worker its share of the cores.
BLAS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


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
    by_value = module is not None and not _found_again(module) and module.__name__ != "__main__"
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        blob = cloudpickle.dumps(thing, 5)
        definitions = tuple(_definitions(cloudpickle))
    except Exception as error:
        culprit = _culprit(thing, cloudpickle)
        remedy = "Open it inside the function or pass it as resources={...}, or choose model='threads'."
        raise CannotTravel(what, f"{culprit}{error}", remedy) from error
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)
    if len(blob) > HUGE:
        raise CannotTravel(
            what,
            f"with what it drags in it weighs {len(blob) >> 20} MiB, most of it {_heaviest(thing, cloudpickle)}",
            "Load that inside the function or with resources={...}, or pass it as part of the items.",
        )
    return Shipped(blob, definitions)


def why_not(thing: Any) -> str | None:
    """Why `thing` cannot be sent to a worker process; `None`: it can."""
    try:
        if callable(thing):
            ship(thing, "It")
        elif isinstance(refused := dumps_items([thing], by_value=False), dict):
            return refused[0].why
    except CannotTravel as error:
        return error.why
    return None


def load(shipped: Shipped) -> Any:
    """What `ship` was given."""
    main = sys.modules["__main__"]
    for name, blob in shipped.definitions:
        setattr(main, name, pickle.loads(blob))
    return pickle.loads(shipped.blob)


def _importable(thing: Any) -> bool:
    """Whether the worker will find `thing` by its name. What has none of its own (a dict, a partial) is not asked."""
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    return module is not None and module.__name__ != "__main__" and hasattr(thing, "__qualname__") and _found_again(module)


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
    for entry in sys.path:
        stem = os.path.join(os.path.abspath(entry), top)
        if file == stem + ".py" or file.startswith((stem + os.sep, stem + ".")):
            return True
    return type(spec.loader).__name__ not in ("SourceFileLoader", "SourcelessFileLoader")


def _definitions(cloudpickle: Any) -> list[tuple[str, bytes]]:
    main = sys.modules.get("__main__")
    found = []
    for name, thing in list(vars(main).items()) if main is not None else ():
        if isinstance(thing, type) and thing.__module__ == "__main__":
            with contextlib.suppress(Exception):
                found.append((name, cloudpickle.dumps(thing, 5)))
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


def _culprit(thing: Any, cloudpickle: Any) -> str:
    for name, part in _parts(thing).items():
        try:
            cloudpickle.dumps(part, 5)
        except Exception:
            return f"{name} is a {type(part).__name__}: "
    return ""


def _heaviest(thing: Any, cloudpickle: Any) -> str:
    weights = {name: len(cloudpickle.dumps(part, 5)) for name, part in _parts(thing).items()}
    return max(weights, key=weights.__getitem__, default="its own code")


class Carried:
    """Bytes that become what they hold when they are unpickled."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.blob,)


class _Exception:
    """An exception that its own constructor cannot rebuild: rebuilt from its class, args and attributes."""

    def __init__(self, error: BaseException) -> None:
        self.kind, self.args = type(error), tuple(_plain(arg) for arg in error.args)
        self.parts = {name: _plain(value) for name, value in error.__dict__.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.kind, self.args, self.parts)


def _rebuilt(kind: type[BaseException], args: tuple[Any, ...], parts: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(parts)
    return error


def _plain(value: Any) -> Any:
    try:
        pickle.loads(pickle.dumps(value, 5))
    except Exception:
        return repr(value)
    return value


def portable(error: BaseException) -> Any:
    """`error`, or what becomes it when unpickled: the same class, arguments and attributes."""
    for candidate in (lambda: error, lambda: _Exception(error), lambda: _by_value(error), lambda: _by_value(_Exception(error))):
        try:
            thing = candidate()
            again = pickle.loads(pickle.dumps(thing, 5))
            if type(again).__qualname__ == type(error).__qualname__ and str(again) == str(error):
                return thing
        except BaseException:
            continue
    kind = type(error).__qualname__
    return CannotTravel(f"The exception {kind}", f"it cannot be pickled; it said: {error}", "Its traceback is kept as text.")


def _by_value(thing: Any) -> Carried:
    import cloudpickle

    return Carried(cloudpickle.dumps(thing, 5))


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
                values[at] = _by_value(value)
            except Exception:
                values[at] = None
                remedy = "Return plain data instead, or choose model='threads'."
                error = CannotTravel(f"The result (of type {type(value).__name__!r})", str(plain), remedy)
                errors.append((at, raised(error, 0.0, below=0)))
    errors = [(at, one._replace(error=portable(one.error))) for at, one in errors]
    return dumps(tuple(batch._replace(values=values, errors=sorted(errors, key=lambda e: e[0]))))


def dumps_items(items: list[Any], *, by_value: bool) -> tuple[bytes, list[memoryview]] | dict[int, CannotTravel]:
    """Pickle items; those that cannot travel are named by position instead."""
    if not by_value:
        with contextlib.suppress(Exception):
            return dumps(items)
    made, refused = list(items), dict[int, CannotTravel]()
    for at, item in enumerate(items):
        try:
            if by_value:
                raise pickle.PicklingError
            dumps(item)
        except Exception as plain:
            try:
                made[at] = _by_value(item)
            except Exception as error:
                why = str(error) or str(plain)
                refused[at] = CannotTravel(
                    f"The item (of type {type(item).__name__!r})", why, "Pass plain data instead, or choose model='threads'."
                )
    return refused or dumps(made)


def text(error: BaseException) -> bytes:
    """An exception as one line."""
    return f"{type(error).__name__}: {error}".encode(errors="replace")
