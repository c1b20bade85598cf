"""Pickling by value: cloudpickle, and what it leaves out."""

from __future__ import annotations

import functools
import io
import operator
import pickle
from typing import Any, Generic

from plait.places.processes import classes

__all__ = ["by_name_in_main", "dumps"]

_CACHED = type(functools.lru_cache(len))
#: What a generic NamedTuple has of `Generic` for its own. No name leads to it.
_SUBSCRIPT = getattr(Generic.__class_getitem__, "__func__", object())  # type: ignore[attr-defined, unused-ignore]
#: Bytes up to which a pickle is looked through for names that no worker would find.
LOOKED_THROUGH = 1 << 20


def dumps(thing: Any) -> bytes:
    """`thing` as bytes, functions and classes of `__main__` by value.

    Raises:
        Exception: whatever stands in the way.
    """
    file = io.BytesIO()
    _pickler()(file, 5).dump(thing)
    return file.getvalue()


@functools.cache
def _pickler() -> Any:
    import cloudpickle  # slow to import, and functions of modules do without

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, thing: Any) -> Any:
            # pickle sends these by name, and cloudpickle leaves that so: no worker has that name.
            if type(thing) is _CACHED and thing.__module__ == "__main__":
                return _cached, (thing.cache_parameters(),), (thing.__wrapped__,), None, None, _fill
            if thing is _SUBSCRIPT:
                return operator.attrgetter("__class_getitem__.__func__"), (Generic,)
            if "__plait_by_value__" in vars(type(thing)) and _goes_by_value(thing, cloudpickle):
                return thing.__plait_by_value__()
            reduced = super().reducer_override(thing)
            return classes.mended(thing, reduced) if isinstance(thing, type) else reduced

    return Pickler


def _goes_by_value(thing: Any, cloudpickle: Any) -> bool:
    """Whether no worker would find it by its name."""
    module = getattr(thing, "__module__", None)
    return module == "__main__" or module in cloudpickle.list_registry_pickle_by_value()


class _Late:
    """What a cache wraps until its function, which may name the cache itself, has arrived."""

    function: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def _cached(parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(_Late())


def _fill(cached: Any, state: tuple[Any]) -> None:
    cached.__wrapped__.function = state[0]
    functools.update_wrapper(cached, state[0])


def by_name_in_main(blob: bytes, known: set[str]) -> list[str]:
    """Names of `__main__` that whoever unpickles `blob` would look for, less those that are `known` there."""
    missing: list[str] = []

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if module == "__main__" and name.partition(".")[0] not in known:
                missing.append(name)
            return super().find_class(module, name)

    if len(blob) <= LOOKED_THROUGH:
        try:
            Unpickler(io.BytesIO(blob)).load()
        except Exception:
            return missing
    return missing
