"""`Signature`: the arguments of a task as bytes, checked where they are given, and back as what its annotations say.

A job's arguments are a map from parameters to values in MessagePack, so that they can be read without the task's code,
and so that a parameter may move, or come to be with a default, while jobs wait. Parameters that have their default's
value are left out: code that does not know them yet can run the job.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from plait.errors import ArgumentRefused

__all__ = ["LARGEST", "Misfit", "Signature", "encode_result"]

#: Bytes that the arguments of a job, or its result, may have, unless `Jobs(max_bytes=)` says otherwise.
LARGEST = 1 << 20


class Misfit(Exception):
    """Stored arguments do not fit the function as it is here: its code is older or newer than who enqueued them."""


class Signature:
    """How the arguments of one function travel.

    Parameters:
        skip: leading parameters that are not arguments of the job.
    """

    def __init__(self, function: Callable[..., Any], name: str, *, skip: int = 0) -> None:
        self.name = name
        parameters = list(inspect.signature(function).parameters.values())[skip:]
        hints = _hints(function)
        types = {p.name: _usable(hints.get(p.name, Any)) for p in parameters}
        self._bound = inspect.Signature(parameters)
        self._fed = inspect.Signature(parameters[1:])
        self._first = parameters[0].name if parameters and parameters[0].kind is not _NAMED else None
        self._rest = next((p.name for p in parameters if p.kind is _REST), None)
        self._named = next((p.name for p in parameters if p.kind is _NAMED), None)
        self._ahead = [p.name for p in parameters if p.kind in _AHEAD]
        self._only = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        self._plain = len(self._ahead) == len(parameters) and not any(p.kind is _POSITIONAL for p in parameters)
        self._given = msgspec.defstruct(
            "Arguments",
            sorted((_field(p, types[p.name]) for p in parameters), key=len),  # those with a default come last
            forbid_unknown_fields=True,
        )
        in_order = list(self._given.__struct_fields__) == [p.name for p in parameters]
        self._plain = self._plain and in_order
        self._first_type = types.get(self._first or "", Any)
        self._returns = msgspec.msgpack.Decoder(_usable(hints.get("return", Any)))
        self._decode = msgspec.msgpack.Decoder(self._given).decode
        self._optional = frozenset(p.name for p in parameters if p.default is not p.empty)

    # --- to bytes ---------------------------------------------------------------------------------------------------

    def encode(self, args: Sequence[Any], kwargs: dict[str, Any], largest: int, *, fed: bool = False) -> bytes:
        """The bytes of arguments; with `fed`, of those after the first, which somebody else's result will be.

        Raises:
            ArgumentRefused: they do not fit the function or its annotations, cannot be stored, would come back as
                something else, or are larger than `largest` bytes.
        """
        try:
            if self._plain and not fed:
                given = self._given(*args, **kwargs)
                data = _encode(given)
            else:
                given = None
                data = _encode(self._flat(args, kwargs, fed))
        except TypeError as error:
            raise ArgumentRefused(self.name, self._why(args, kwargs, error, fed)) from None
        except (OverflowError, RecursionError, ValueError, UnicodeEncodeError) as error:
            raise ArgumentRefused(self.name, f"an argument cannot be stored: {error}.") from None
        if len(data) > largest:
            raise ArgumentRefused(
                self.name,
                f"its arguments take {len(data):,} bytes, and {largest:,} are allowed: pass the path or key of what is "
                "large, or say Jobs(..., max_bytes=).",
            )
        try:
            again = self._decode(data) if given is not None else None
        except msgspec.ValidationError as error:
            raise ArgumentRefused(self.name, f"an argument is not what its annotation says: {error}.") from None
        if given is not None and again != given:
            self._compare(given, again)
        elif given is None and not fed:
            self._check(data, args, kwargs)
        return data

    def _flat(self, args: Sequence[Any], kwargs: dict[str, Any], fed: bool) -> dict[str, Any]:
        bound = (self._fed if fed else self._bound).bind(*args, **kwargs)
        return dict(bound.arguments)

    def _check(self, data: bytes, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        try:
            again = self._decode(data)
        except msgspec.ValidationError as error:
            raise ArgumentRefused(self.name, f"an argument is not what its annotation says: {error}.") from None
        for name, value in self._flat(args, kwargs, fed=False).items():
            self._same(name, value, getattr(again, name))

    def _compare(self, given: Any, again: Any) -> None:
        for name in given.__struct_fields__:
            self._same(name, getattr(given, name), getattr(again, name))

    def _same(self, name: str, value: Any, again: Any) -> None:
        changed = _changed(value, again)
        if changed is not None:
            was, is_ = changed
            raise ArgumentRefused(
                self.name,
                f"{name} has {_a(was)} that would come back as {_a(is_)}: annotate the parameter with its type, or "
                "pass plain data.",
            )

    def _why(self, args: Sequence[Any], kwargs: dict[str, Any], error: TypeError, fed: bool) -> str:
        try:
            arguments = self._flat(args, kwargs, fed)
        except TypeError as unfit:
            return f"{unfit}; it takes {self._bound}."
        for name, value in arguments.items():
            try:
                _encode(value)
            except TypeError as why:
                return f"{name} cannot be stored: {why}. Pass plain data, dataclasses, dates, UUIDs, Decimals or bytes."
        return f"its arguments cannot be stored: {error}."

    # --- and back ---------------------------------------------------------------------------------------------------

    def decode(self, data: bytes) -> tuple[list[Any], dict[str, Any]]:
        """The arguments, positional and named.

        Raises:
            Misfit: they do not fit the function.
        """
        try:
            given = self._decode(data)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise Misfit(f"the stored arguments do not fit {self.name} as it is here: {error}") from None
        if self._plain:
            args = [getattr(given, name) for name in self._ahead]
            while args and args[-1] is msgspec.UNSET:
                args.pop()
            if msgspec.UNSET not in args:
                return args, {}
        return self._spread({name: getattr(given, name) for name in given.__struct_fields__})

    def decode_fed(self, data: bytes, feed: Any) -> tuple[list[Any], dict[str, Any]]:
        """The same where the first argument is `feed`, plain data that its annotation is applied to.

        Raises:
            Misfit: they do not fit the function.
        """
        if self._first is None:
            raise Misfit(f"{self.name} takes no argument that the result before it could be")
        whole = msgspec.msgpack.decode(data)
        if self._first == self._rest:
            whole[self._first] = [feed, *whole.get(self._first, ())]
        else:
            whole[self._first] = feed
        try:
            return self._spread(_known(msgspec.convert(whole, self._given)))
        except msgspec.ValidationError as error:
            raise Misfit(f"the result before it does not fit {self.name}: {error}") from None

    def _spread(self, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        args: list[Any] = []
        kwargs = {name: values[name] for name in self._only if values[name] is not msgspec.UNSET}
        open_ = True
        for name in self._ahead:
            if values[name] is msgspec.UNSET:
                open_ = False
            elif open_:
                args.append(values[name])
            else:
                kwargs[name] = values[name]
        if self._rest is not None and values[self._rest] is not msgspec.UNSET:
            args += values[self._rest]
        if self._named is not None and values[self._named] is not msgspec.UNSET:
            kwargs |= values[self._named]
        return args, kwargs

    def result(self, data: bytes | None) -> Any:
        """What the task returned, as its annotation says (as plain data where it is not that)."""
        if data is None:
            return None
        try:
            return self._returns.decode(data)
        except msgspec.ValidationError:
            return msgspec.msgpack.decode(data)


_POSITIONAL = inspect.Parameter.POSITIONAL_ONLY
_REST, _NAMED = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
_AHEAD = (_POSITIONAL, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_encode = msgspec.msgpack.Encoder().encode


def _field(parameter: inspect.Parameter, kind: Any) -> tuple[Any, ...]:
    if parameter.kind is _REST:
        return parameter.name, tuple[kind, ...] | msgspec.UnsetType, msgspec.UNSET
    if parameter.kind is _NAMED:
        return parameter.name, dict[str, kind] | msgspec.UnsetType, msgspec.UNSET
    if parameter.default is parameter.empty:
        return parameter.name, kind
    return parameter.name, kind | msgspec.UnsetType if kind is not Any else Any, msgspec.UNSET


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations as far as they can be understood here."""
    function = inspect.unwrap(function)
    try:
        return typing.get_type_hints(function)
    except Exception:  # a name that only a type checker imports
        found = getattr(function, "__annotations__", {})
        return {name: kind for name, kind in found.items() if not isinstance(kind, str)}


def _usable(kind: Any) -> Any:
    """`kind` if values of it can be told apart and stored, else `Any`."""
    if kind is None or kind is type(None):
        return None
    try:
        msgspec.msgpack.Decoder(typing.Union[kind, msgspec.UnsetType])  # noqa: UP007 - kind may be any object
        info = msgspec.inspect.type_info(kind)
    except Exception:
        return Any
    return Any if isinstance(info, msgspec.inspect.CustomType) else kind


def _known(given: Any) -> dict[str, Any]:
    return {name: getattr(given, name) for name in given.__struct_fields__}


def _changed(value: Any, again: Any) -> tuple[type, type] | None:
    """The types of the first part of `value` that came back as something else; lists may stand for tuples."""
    was, is_ = type(value), type(again)
    if was is is_ or (was is int and is_ is float):
        if was is dict:
            pairs = zip(value, again, strict=False), zip(value.values(), again.values(), strict=False)
            return next((c for pair in pairs for a, b in pair if (c := _changed(a, b)) is not None), None)
        if was in (list, tuple):
            return next((c for a, b in zip(value, again, strict=False) if (c := _changed(a, b)) is not None), None)
        return None
    if isinstance(value, list | tuple) and isinstance(again, list | tuple):
        return next((c for a, b in zip(value, again, strict=False) if (c := _changed(a, b)) is not None), None)
    if isinstance(value, was) and isinstance(again, was):
        return None
    return was, is_


def _a(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'aeiouAEIO' else 'a'} {kind.__name__}"


def encode_result(value: Any, task: str, largest: int) -> bytes:
    """The bytes of what a task returned.

    Raises:
        ValueError: it cannot be stored, or has more than `largest` bytes; the message says what to do.
    """
    try:
        data = _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{task} has run, but what it returned cannot be stored: {error}. Return plain data or None, or say keep=0."
        ) from None
    if len(data) > largest:
        raise ValueError(
            f"{task} has run, but what it returned takes {len(data):,} bytes, and {largest:,} are allowed: return the "
            "path or key of what is large, or say Jobs(..., max_bytes=)."
        )
    return data
