"""A Struct that goes by value is made anew as it was: whatever its options, fields, defaults and names."""

import itertools
import operator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plait

ORDERS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq]
numbers = st.integers(-5, 5)
defaults = st.one_of(
    st.none(),
    numbers.map(lambda value: {"default": value}),
    st.sampled_from([list, dict]).map(lambda make: {"default_factory": make}),
)
flags = [
    "omit_defaults",
    "repr_omit_defaults",
    "forbid_unknown_fields",
    "array_like",
    "gc",
    "weakref",
    "dict",
    "kw_only",
]
renames = st.sampled_from([None, "upper", "camel", "pascal", "kebab", {"one_a": "eins"}, lambda name: name + "_"])
tags = st.sampled_from([None, True, False, "word", 7, str.lower])


@st.composite
def options(draw: st.DrawFn, frozen: bool, tagged: st.SearchStrategy) -> dict:
    made = {flag: draw(st.booleans()) for flag in draw(st.sets(st.sampled_from(flags)))}
    made |= {"frozen": frozen, "rename": draw(renames), "tag": draw(tagged)}
    made |= draw(st.sampled_from([{}, {"order": True}, {"eq": False}]))
    if frozen:
        made["cache_hash"] = draw(st.booleans())
    if isinstance(made["tag"], str):
        made["tag_field"] = draw(st.sampled_from(["type", "kind"]))
    return made


@st.composite
def structs(draw: st.DrawFn) -> list[type]:
    """A Struct, one that inherits from it, and one that inherits from that."""
    frozen = draw(st.booleans())
    tagged = draw(st.sampled_from([tags, st.sampled_from([True, False]), st.just(None)]))
    made = [msgspec.Struct]
    for level in ("one", "two", "three"):
        names = [f"{level}_{letter}" for letter in "abc"[: draw(st.integers(0, 3))]]
        again = draw(st.sampled_from(made)).__struct_fields__
        names += draw(st.lists(st.sampled_from(again), max_size=1)) if again else []
        fields, required = [], []
        for name in names:
            given = draw(defaults)
            named = {"name": f"as-{name}"} if draw(st.integers(0, 4)) == 0 else {}
            (required if given is None else fields).append((name, object, msgspec.field(**(given or {}), **named)))
        chosen = draw(options(frozen, tagged))
        try:
            kind = msgspec.defstruct(level, required + fields, bases=(made[-1],), module="__main__", **chosen)
        except (TypeError, ValueError):  # options that do not go together
            continue
        made.append(kind)
    return made[1:]


def described(kind, rows):
    """All that can be seen of a Struct, and of objects made of it from rows of numbers."""
    config = kind.__struct_config__
    shown = [(name, getattr(config, name)) for name in dir(config) if not name.startswith("_")]
    shown += [kind.__struct_fields__, kind.__struct_encode_fields__, kind.__match_args__, kind.__slots__]
    shown += [str(kind.__signature__), kind.__qualname__, kind.__module__, kind.__doc__]
    objects = []
    for row in rows:
        try:
            objects.append(kind(**dict(zip(kind.__struct_fields__, row, strict=False))))
        except TypeError as error:
            shown.append(str(error))
    for made in objects:
        shown += [repr(made), msgspec.json.encode(made), msgspec.msgpack.encode(made), hasattr(made, "__dict__")]
        shown.append([getattr(made, field) for field in kind.__struct_fields__])
        again = msgspec.json.decode(msgspec.json.encode(made), type=kind)
        shown.append((again == made, repr(again)))
    for left, right in itertools.product(objects, repeat=2):
        for compare in ORDERS:
            try:
                shown.append(compare(left, right))
            except TypeError as error:
                shown.append(str(error))
        try:
            shown.append(left != right or (hash(left) == hash(right)))
        except TypeError as error:
            shown.append(str(error))
    return shown


@pytest.fixture(scope="module")
def pool():
    with plait.Pool(workers=1) as mine:
        yield mine


@settings(max_examples=100)
@given(structs(), st.lists(st.lists(numbers, max_size=9), max_size=3))
def test_a_struct_arrives_as_it_was(pool, kinds, rows):
    rows.append([1] * 9)

    def there(turn):
        return [described(kind, rows) for kind in kinds[::turn]]

    here = {turn: there(turn) for turn in (1, -1)}
    for turn in (1, -1):
        (got,) = plait.map(there, [turn], model="processes")
        assert got == here[turn]
