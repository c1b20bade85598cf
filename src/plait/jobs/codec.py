"""`Signature`: the arguments of a task as bytes, checked where they are given, and back as what its annotations say.

A job's arguments are a map from parameters to values in MessagePack, so that they can be read without the task's code,
and so that a parameter may move, or come to be with a default, while jobs wait. Parameters that are not given are left
out: their default is that of the code that runs the job, and code that does not know them yet can run it.

Times with a zone come back as the same instant in UTC: MessagePack's timestamps have no zone.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any

import msgspec

from plait.errors import ArgumentRefused
from plait.failure import shown
from plait.jobs.form import NAMED, REST, Form
from plait.jobs.values import convert, decoder, encode, plainly, usable

__all__ = ["LARGEST", "Misfit", "Signature", "encode_result", "hints_of"]

#: Bytes that the arguments of a job, or its result, may have, unless `Jobs(max_bytes=)` says otherwise.
LARGEST = 1 << 20
_REFUSALS = (TypeError, OverflowError, RecursionError, ValueError)  # what the encoder raises


class Misfit(Exception):
    """Stored arguments do not fit the function as it is here: its code is older or newer than who enqueued them."""


class Signature:
    """How the arguments of one function travel.

    Parameters:
        skip: leading parameters that are not arguments of the job. without: names of others that are not.
        hints: what its annotations mean, where they were understood already (`hints_of`).

    Concurrency: safe from any thread.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        *,
        skip: int = 0,
        without: Collection[str] = (),
        hints: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        parameters = list(inspect.signature(function).parameters.values())[skip:]
        parameters = [parameter for parameter in parameters if parameter.name not in without]
        hints, self._dark = (hints, {}) if hints is not None else hints_of(function)
        self._parameters = parameters
        self._types = {p.name: usable(hints.get(p.name, Any)) for p in parameters}
        self._refused = {name: hints[name] for name, kind in self._types.items() if kind is Any and name in hints}
        self._whole = Form(parameters, self._types)
        self._first = parameters[0] if parameters and parameters[0].kind is not NAMED else None
        self._returns = decoder(usable(hints.get("return", Any)))

    @cached_property
    def _fed(self) -> Form:
        """The arguments after the first."""
        first = self._first
        if first is None:
            raise TypeError("it has no parameter for the result before it")
        return Form(self._parameters if first.kind is REST else self._parameters[1:], self._types)

    # --- to bytes ---------------------------------------------------------------------------------------------------

    def encode(self, args: Sequence[Any], kwargs: dict[str, Any], largest: int, *, fed: bool = False) -> bytes:
        """The bytes of arguments; with `fed`, of those after the first, which somebody else's result will be.

        Raises:
            ArgumentRefused: they do not fit the function or its annotations, cannot be stored, would come back as
                something else, or are larger than `largest` bytes.
        """
        try:
            form = self._fed if fed else self._whole
            given = form.given(args, kwargs)
        except TypeError as error:
            raise ArgumentRefused(self.name, self._why_not(args, kwargs, error, fed)) from None
        try:
            data = encode(given)
        except _REFUSALS as error:
            raise ArgumentRefused(self.name, self._why(given, error)) from None
        if len(data) > largest:
            raise ArgumentRefused(
                self.name,
                f"its arguments take {len(data):,} bytes, and {largest:,} are allowed: pass the path or key of what is "
                "large, or say Jobs(..., max_bytes=).",
            )
        try:
            again = form.decode(data)
        except msgspec.ValidationError as error:
            raise ArgumentRefused(self.name, f"an argument is not what its annotation says: {error}.") from None
        except Exception as error:  # the user's, of a class that checks what it is made of
            raise ArgumentRefused(self.name, f"an argument cannot be made again: {shown(error)}.") from error
        found = form.compare(given, again)
        if found is not None:
            raise ArgumentRefused(self.name, self._advised(*found))
        return data

    def _advised(self, name: str, found: str) -> str:
        if name in self._dark:
            why = f"its annotation {self._dark[name]!r} names what is not at the top of its module"
            return f"{name} has {found}: {why}, so define or import it there."
        if self._refused.get(name, Any) is not Any:
            kind = inspect.formatannotation(self._refused[name])
            return f"{name} has {found}: values of its annotation {kind} cannot be stored as such; pass plain data."
        return f"{name} has {found}: annotate the parameter with its exact type, or pass plain data."

    def _why_not(self, args: Sequence[Any], kwargs: dict[str, Any], error: TypeError, fed: bool) -> str:
        if fed and self._first is None:
            return f"it is to get the result of what comes before it, and {error}."
        form = self._fed if fed else self._whole
        try:
            form.bound.bind(*args, **kwargs)
        except TypeError as unfit:
            error = unfit
        beside = f" besides {self._first.name!r}, the result of what comes before it" if fed and self._first else ""
        return f"{error}; it takes {form.bound}{beside}."

    def _why(self, given: Any, error: Exception) -> str:
        name = "an argument"
        for name in given.__struct_fields__:
            try:
                encode(getattr(given, name))
            except _REFUSALS as found:
                error = found
                break
        if isinstance(error, RecursionError):
            return f"{name} cannot be stored: it contains itself, or is nested too deeply."
        if isinstance(error, OverflowError):
            return f"{name} cannot be stored: it has a whole number of more than 64 bits; pass that as text."
        advice = " Pass plain data, dataclasses, dates, UUIDs, Decimals, paths or bytes."
        return f"{name} cannot be stored: {error}.{advice if isinstance(error, TypeError) else ''}"

    # --- and back ---------------------------------------------------------------------------------------------------

    def decode(self, data: bytes) -> tuple[list[Any], dict[str, Any]]:
        """The arguments, positional and named.

        Raises:
            Misfit: they do not fit the function.
        """
        form = self._whole
        try:
            try:
                given = form.decode(data)
            except msgspec.ValidationError:
                if form.named is None:
                    raise
                given = convert(form.gathered(plainly(data)), form.struct)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise Misfit(f"the stored arguments do not fit {self.name} as it is here: {error}") from None
        return form.spread(given)

    def decode_fed(self, data: bytes, feed: Any) -> tuple[list[Any], dict[str, Any]]:
        """The same where the first argument is `feed`, plain data that its annotation is applied to.

        Raises:
            Misfit: they do not fit the function.
        """
        first = self._first
        if first is None:
            raise Misfit(f"{self.name} takes no argument that the result before it could be")
        whole = plainly(data)
        whole[first.name] = [feed, *whole.get(first.name, ())] if first.kind is REST else feed
        try:
            return self._whole.spread(convert(self._whole.gathered(whole), self._whole.struct))
        except msgspec.ValidationError as error:
            raise Misfit(f"the result before it does not fit {self.name}: {error}") from None

    def result(self, data: bytes | None) -> Any:
        """What the task returned, as its annotation says (as plain data where it is not that)."""
        if data is None:
            return None
        try:
            return self._returns.decode(data)
        except Exception:
            return plainly(data)


def hints_of(function: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Annotations that can be understood here, and those that cannot."""
    function = inspect.unwrap(function)
    try:
        return typing.get_type_hints(function, include_extras=True), {}
    except Exception:  # a name that only a type checker imports: the others are understood one by one
        found: dict[str, Any] = {}
        dark: dict[str, str] = {}
        for name, hint in getattr(function, "__annotations__", {}).items():
            try:
                found[name] = eval(hint, getattr(function, "__globals__", {})) if isinstance(hint, str) else hint
            except Exception:
                dark[name] = hint
        return found, dark


def encode_result(value: Any, task: str, largest: int) -> bytes:
    """The bytes of what a task returned.

    Raises:
        ValueError: it cannot be stored, or has more than `largest` bytes; the message says what to do.
    """
    try:
        data = encode(value)
    except _REFUSALS as error:
        raise ValueError(
            f"{task} has run, but what it returned cannot be stored: {error}. Return plain data or None, or say keep=0."
        ) from None
    if len(data) > largest:
        raise ValueError(
            f"{task} has run, but what it returned takes {len(data):,} bytes, and {largest:,} are allowed: return the "
            "path or key of what is large, or say Jobs(..., max_bytes=)."
        )
    return data
