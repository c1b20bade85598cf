"""`Form`: the parameters of a call as a struct that is filled in, stored, and read again."""

from __future__ import annotations

import inspect
import typing
import uuid
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from plait.jobs.values import changed, decoder, is_open

__all__ = ["NAMED", "REST", "Form"]

REST, NAMED = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
_AHEAD = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
_TOLD = _PLAIN | {None, uuid.UUID, date, datetime, time, timedelta, Decimal}


class Form:
    """Some parameters as a struct that is filled in, stored and read."""

    def __init__(self, parameters: Sequence[inspect.Parameter], types: dict[str, Any]) -> None:
        self.bound = inspect.Signature(parameters)
        fields = sorted((_field(p, types[p.name]) for p in parameters), key=len)  # those with a default come last
        self.struct = msgspec.defstruct("Arguments", fields, forbid_unknown_fields=True)
        self.decode = decoder(self.struct).decode
        self.named = next((p.name for p in parameters if p.kind is NAMED), None)
        self._names = frozenset(self.struct.__struct_fields__)
        self._rest = next((p.name for p in parameters if p.kind is REST), None)
        self._ahead = [p for p in parameters if p.kind in _AHEAD]
        self._only = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        in_order = list(self.struct.__struct_fields__) == [p.name for p in parameters]
        self._plain = in_order and all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
        self._exact = {p.name: is_open(types[p.name]) for p in parameters}
        # What equality tells nothing of: 1 == True == Color.RED, and records may leave fields out of it.
        self._closer = [p.name for p in parameters if not _is_told_by_equality(types[p.name])]

    def given(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """The arguments of a call, filled in."""
        if self._plain:
            return self.struct(*args, **kwargs)
        return self.struct(**self.bound.bind(*args, **kwargs).arguments)

    def compare(self, given: Any, again: Any) -> tuple[str, str] | None:
        """A parameter, and what of it would come back as something else; `None`: nothing would."""
        try:
            names = self._closer if again == given else self.struct.__struct_fields__
        except Exception:  # somebody's __eq__
            names = self.struct.__struct_fields__
        for name in names:
            value = getattr(given, name)
            if type(value) in _PLAIN and type(getattr(again, name)) is type(value):
                continue
            found = changed(value, getattr(again, name), self._exact[name])
            if found is not None:
                return name, found
        return None

    def gathered(self, values: dict[str, Any]) -> dict[str, Any]:
        """Stored values, those whose parameter is gone among the function's `**` parameter, if it has one."""
        if self.named is None:
            return values
        known = {name: value for name, value in values.items() if name in self._names}
        loose = {name: value for name, value in values.items() if name not in self._names}
        return known | {self.named: loose | known.get(self.named, {})} if loose else values

    def spread(self, given: Any) -> tuple[list[Any], dict[str, Any]]:
        """What to call the function with."""
        unset = msgspec.UNSET
        if self._plain:
            values = msgspec.structs.astuple(given)
            if all(value is not unset for value in values):
                return list(values), {}
        args: list[Any] = []
        kwargs = {name: value for name in self._only if (value := getattr(given, name)) is not unset}
        rest = getattr(given, self._rest) if self._rest is not None else unset
        for parameter in self._ahead:
            value = getattr(given, parameter.name)
            if value is unset and rest is not unset and rest:
                value = parameter.default  # a parameter that came to be before those of the rest
            if value is unset:
                break
            args.append(value)
        kwargs |= {
            parameter.name: value
            for parameter in self._ahead[len(args) :]
            if (value := getattr(given, parameter.name)) is not unset
        }
        if rest is not unset:
            args += rest
        if self.named is not None and (more := getattr(given, self.named)) is not unset:
            kwargs |= more
        return args, kwargs


def _field(parameter: inspect.Parameter, kind: Any) -> tuple[Any, ...]:
    # UNSET is left out when the struct is stored, and is there again when it is read.
    if parameter.kind is REST:
        return parameter.name, tuple[kind, ...], msgspec.UNSET
    if parameter.kind is NAMED:
        return parameter.name, dict[str, kind], msgspec.UNSET
    return (parameter.name, kind) if parameter.default is parameter.empty else (parameter.name, kind, msgspec.UNSET)


def _is_told_by_equality(kind: Any) -> bool:
    """Whether a `kind` that is equal to another is the same, as far as its annotation goes."""
    return (
        (isinstance(kind, type) and kind in _TOLD)
        or kind is None
        or (
            typing.get_origin(kind) in (list, tuple, set, frozenset, dict)
            and all(part is Ellipsis or _is_told_by_equality(part) for part in typing.get_args(kind))
        )
    )
