"""Classes that msgspec knows, by value: what it caches on them stays here; a Struct is made anew by its metaclass."""

from __future__ import annotations

import functools
import inspect
import sys
from types import MemberDescriptorType
from typing import Any

__all__ = ["is_struct", "made_anew", "without_cache"]

#: Where msgspec keeps what it has found out about a dataclass, an enum, a TypedDict...: no pickle takes it.
CACHE = "__msgspec_cache__"


def without_cache(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """What cloudpickle makes of a class by value, less msgspec's cache."""
    make, made_of, (inside, more), *rest = reduced
    return make, made_of, ({name: value for name, value in inside.items() if name != CACHE}, more), *rest


def is_struct(kind: type) -> bool:
    """Whether `kind` is a Struct: without msgspec, nothing is."""
    struct = getattr(sys.modules.get("msgspec"), "Struct", None)
    return struct is not None and isinstance(kind, type(struct))


def made_anew(kind: Any, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """What cloudpickle makes of the Struct `kind`, with all that has to be known when its metaclass makes it.

    The rest (methods, properties, class variables) is set on the class afterwards, as cloudpickle does for any other:
    so they may name the class itself. Its tracker, too, sees to it that one class stays one class.
    """
    make, (metaclass, name, bases, namespace, *tracked), (inside, more), *rest = reduced
    annotations = inspect.get_annotations(kind)
    own = [field for field in annotations if _is_field(kind, field)]
    config = {option: getattr(kind.__struct_config__, option) for option in _options(kind)}
    config["tag"] = False if config["tag"] is None else config["tag"]  # None would be the base's
    config["kw_only"] = not set(own) <= set(kind.__match_args__)
    config["rename"] = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    namespace = {**namespace, "__annotations__": annotations}
    if "__post_init__" in inside:
        namespace["__post_init__"] = _post_init
    inside = {name: value for name, value in inside.items() if name != "__slots__"}
    metaclass = functools.partial(_make, metaclass, config, *_defaults(kind, own))
    return make, (metaclass, name, bases, namespace, *tracked), (inside, more), *rest


def _is_field(kind: Any, name: str) -> bool:
    """Whether an annotated name is a field: a class variable has a value of its own in the class."""
    return name in kind.__struct_fields__ and isinstance(vars(kind).get(name), MemberDescriptorType | None)


def _options(kind: Any) -> list[str]:
    return [option for option in dir(kind.__struct_config__) if not option.startswith("_")]


def _defaults(kind: Any, own: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The default values and default factories of the fields in `own`."""
    from msgspec import NODEFAULT
    from msgspec._core import Factory  # type: ignore[import-not-found, unused-ignore]

    last_first = zip(reversed(kind.__struct_fields__), reversed(kind.__struct_defaults__), strict=False)
    found = {field: default for field, default in last_first if field in own and default is not NODEFAULT}
    factories = {field: default.factory for field, default in found.items() if isinstance(default, Factory)}
    return {field: default for field, default in found.items() if field not in factories}, factories


def _make(
    metaclass: Any,
    config: dict[str, Any],
    values: dict[str, Any],
    factories: dict[str, Any],
    name: str,
    bases: tuple[type, ...],
    namespace: dict[str, Any],
) -> Any:
    """A Struct as `made_anew` describes it: cloudpickle calls this in its metaclass's place."""
    import msgspec

    made = {field: msgspec.field(default_factory=factory) for field, factory in factories.items()}
    return metaclass(name, bases, {**namespace, **values, **made}, **config)


def _post_init(self: Any) -> None:
    """Stands in for a `__post_init__` that is set afterwards: a Struct keeps the one that it was made with."""
    type(self).__post_init__(self)
