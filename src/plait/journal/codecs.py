"""`Codec`: how results are kept, and the refusal of what would come back changed."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from plait.journal.changes import Unfaithful, changed_part, kind_of
from plait.journal.plain import SCALARS, is_plain

__all__ = ["Codec", "codec_of"]

#: Bytes that SQLite holds in one place, less some room for what lies beside it.
LARGEST = 999_000_000


class Codec(Protocol):
    """Results to bytes and back, by the `name` that `Journal` knows.

    `encode` raises `Unfaithful` where `decode` would not give back the same value of the same types, all through;
    `decode` raises whatever it likes where the bytes are damaged.
    """

    name: str

    def encode(self, value: Any) -> bytes:
        """The bytes of a value."""

    def decode(self, data: bytes, /) -> Any:
        """The value of which they were made."""


class MessagePack:
    """Plain data; integers of 64 bits; any scalar as a key."""

    name = "msgpack"

    def __init__(self) -> None:
        self._encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
        self.decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode

    def encode(self, value: Any) -> bytes:
        """The bytes of a value."""
        try:
            if is_plain(value, SCALARS, SCALARS):
                return self._encode(value)
        except (OverflowError, UnicodeEncodeError):
            pass
        raise changed_part(value, self.name)


class Json:
    """Plain data without bytes, NaN and infinities; text as keys; integers of any size."""

    name = "json"
    SCALARS = SCALARS - {bytes}
    KEYS = frozenset({str})

    def __init__(self) -> None:
        encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
        self._encode = encoder.encode
        self.decode: Callable[[bytes], Any] = json.loads

    def encode(self, value: Any) -> bytes:
        """The bytes of a value."""
        try:
            if is_plain(value, self.SCALARS, self.KEYS):
                return self._encode(value).encode()
        except ValueError:  # not finite, too many digits, or half a surrogate pair
            pass
        raise changed_part(value, self.name)


class Pickle:
    """Nearly everything. The first value of each type is read back, since not all that pickles comes back."""

    name = "pickle"

    def __init__(self) -> None:
        self._seen: set[type] = set()
        self.decode: Callable[[bytes], Any] = pickle.loads

    def encode(self, value: Any) -> bytes:
        """The bytes of a value."""
        kind = type(value)
        try:
            data = pickle.dumps(value, 5)
            again = value if kind in self._seen else pickle.loads(data)
        except Exception as error:
            raise Unfaithful("result", f"is {kind_of(value)} that cannot be pickled ({error})") from error
        if type(again) is not kind:
            raise Unfaithful("result", f"is {kind_of(value)}, and pickle gives back {kind_of(again)}")
        self._seen.add(kind)
        return data


_MADE: dict[str, Callable[[], Codec]] = {"msgpack": MessagePack, "json": Json, "pickle": Pickle}


def codec_of(name: str) -> Codec:
    """The codec of that name (see `Journal`)."""
    return _MADE[name]()
