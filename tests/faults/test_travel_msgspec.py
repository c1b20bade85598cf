"""Classes of `__main__` that msgspec has looked at, and its Structs, travel like any other class."""

import textwrap

import pytest

pytestmark = pytest.mark.timeout(120)

#: A class for each kind, what it is called, and an object of it.
KINDS = {
    "dataclass": ("@dataclass\nclass Kind:\n    a: int", "Kind(1)"),
    "slotted dataclass": ("@dataclass(slots=True)\nclass Kind:\n    a: int", "Kind(1)"),
    "generic dataclass": (
        "@dataclass\nclass Box(Generic[T]):\n    a: T\nKind = Box[int]\nmsgspec.json.Decoder(Box)",
        "Box(1)",
    ),
    "attrs": ("import attrs\n@attrs.define\nclass Kind:\n    a: int", "Kind(1)"),
    "NamedTuple": ("class Kind(NamedTuple):\n    a: int\n    b: int = 2", "Kind(1)"),
    "generic NamedTuple": ("class Pair(NamedTuple, Generic[T]):\n    a: T\nKind = Pair[int]", "Pair(1)"),
    "TypedDict": ("class Kind(TypedDict):\n    a: int", "Kind(a=1)"),
    "TypedDict of another": (
        "class First(TypedDict):\n    a: int\nclass Kind(First, total=False):\n    b: int",
        "Kind(a=1, b=2)",
    ),
    "generic TypedDict": (
        "class Item(TypedDict, Generic[T]):\n    a: T\nKind = Item[int]\nmsgspec.json.Decoder(Item)",
        "Item(a=1)",
    ),
    "Enum": ("class Kind(enum.Enum):\n    A = 'a'\n    def other(self): return Kind.A", "Kind.A"),
    "IntEnum": ("class Kind(enum.IntEnum):\n    A = 1", "Kind.A"),
    "nested": ("class Outer:\n    @dataclass\n    class Inner:\n        a: int\nKind = Outer.Inner", "Kind(1)"),
    "cycle": (
        (
            "@dataclass\nclass Leaf:\n    a: int\n    def up(self): return Kind\n"
            "@dataclass\nclass Kind:\n    leaf: Leaf\n    def down(self): return Leaf"
        ),
        "Kind(Leaf(1))",
    ),
    "Struct": ("class Kind(Struct):\n    a: int\n    b: list[int] = []", "Kind(1)"),
    "generic Struct": ("class Box(Struct, Generic[T]):\n    a: T\n    b: int = 2\nKind = Box[int]", "Box(1)"),
    "nested Struct": ("class Outer:\n    class Inner(Struct):\n        a: int\nKind = Outer.Inner", "Kind(1)"),
    "Struct of another": (
        (
            "class First(Struct, tag=True, frozen=True):\n    a: int\n    c: int = 3\n"
            "class Kind(First, kw_only=True, frozen=True):\n    b: int\n    c: int = 4"
        ),
        "Kind(1, b=2)",
    ),
    "cycle of Structs": (
        (
            "class Leaf(Struct):\n    a: int\n    def up(self): return Kind\n"
            "class Kind(Struct):\n    leaf: Leaf = field(default_factory=lambda: Leaf(Kind is Leaf))\n"
            "    def down(self): return self.leaf.up()"
        ),
        "Kind(Leaf(1))",
    ),
}

BEGIN = """
import enum, msgspec, plait
from dataclasses import dataclass
from msgspec import Struct, field
from typing import ClassVar, Generic, NamedTuple, TypedDict, TypeVar
T = TypeVar("T")
"""

MAPPED = """
def there(x: Kind) -> Kind:
    again = msgspec.json.decode(msgspec.json.encode(x), type=Kind)
    plain = getattr(Kind, "__origin__", Kind)
    assert again == x and type(again) is type(x), (again, x)
    assert isinstance(x, dict if type(x) is dict else plain) and (hasattr(x, "__dict__") == expected), (x, plain)
    return again

x = {made}
expected = hasattr(x, "__dict__")
assert there(x) == x  # msgspec has looked at the class
for _ in range(2):
    results = list(plait.map(there, [x] * 3, model="processes", workers=1))
    assert results == [x] * 3 and {{type(one) for one in results}} == {{type(x)}}, results
where = getattr(Kind, "__origin__", Kind)
says = lambda _: (where.__name__, where.__qualname__, where.__module__, where.__doc__)
assert list(plait.map(says, [0], model="processes")) == [says(0)], says(0)
print("all right")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_that_msgspec_has_looked_at(python, kind):
    """And is one class there for the function, its annotation and its items."""
    defined, made = KINDS[kind]
    done = python(f"{BEGIN}\n{defined}\n{MAPPED.format(made=made)}", timeout=60)
    assert (done.stdout, done.stderr) == ("all right\n", "")


JOBS = """
jobs = plait.Jobs("sqlite:///{file}")

@jobs.task(model="processes")
def ship(x: Kind) -> Kind:
    assert type(x) is getattr(Kind, "__origin__", Kind) or type(x) is dict, (x, Kind)
    return x

x = {made}
job = ship.enqueue(x)
with jobs.worker():
    assert job.result(60) == x
print("all right")
"""


@pytest.mark.parametrize("kind", ["dataclass", "NamedTuple", "TypedDict", "Enum", "Struct", "generic Struct"])
def test_a_task_that_takes_and_returns_it(python, tmp_path, kind):
    defined, made = KINDS[kind]
    done = python(f"{BEGIN}\n{defined}\n{JOBS.format(made=made, file=tmp_path / 'jobs.db')}", timeout=90)
    assert (done.stdout, done.stderr) == ("all right\n", "")


@pytest.mark.parametrize("kind", ["dataclass", "Struct"])
def test_a_task_whose_annotations_are_texts(python, tmp_path, kind):
    """Its code does not name the class: only its annotation does, which is looked up where it was written."""
    defined, made = KINDS[kind]
    script = f"from __future__ import annotations\n{BEGIN}\n{defined}\n{TEXTS}"
    done = python(script.format(made=made, file=tmp_path / "jobs.db"), timeout=90)
    assert (done.stdout, done.stderr) == ("Kind\n", "")


TEXTS = """
jobs = plait.Jobs("sqlite:///{file}")

@jobs.task(model="processes")
def named(x: Kind) -> str:
    return type(x).__name__

job = named.enqueue({made})
with jobs.worker():
    print(job.result(60))
"""


def test_what_a_struct_can_do_it_can_do_there(python):
    """Methods, properties, class variables, operators and `__post_init__`, all of which may name the class itself."""
    script = """
        class Order(Struct, dict=True, weakref=True, order=True):
            '''An order.'''
            number: int
            lines: list[int] = field(default_factory=lambda: [Order.most], name="positions")
            before: "Order | None" = None
            most: ClassVar[int] = 7
            made: ClassVar[list] = []

            def __post_init__(self): assert self.number < Order.most, "too many"
            def __hash__(self): return self.number
            def __len__(self): return self.number
            def __setattr__(self, name, value):
                super().__setattr__(name, value)
                Order.made.append(name)
            @property
            def next(self): return Order(self.number + 1)
            @classmethod
            def first(cls): return cls(1)
            @staticmethod
            def last(): return Order(6)

        class Urgent(Order):
            days: int = 1
            def __post_init__(self):
                super().__post_init__()
                assert self.days < 5, "not urgent"

        def says(_):
            order = Order(2)
            order.number, order.note = 3, "x"
            refused = []
            for make in (lambda: Order(8), lambda: Urgent(8), lambda: Urgent(1, days=6), lambda: Order(lines=[])):
                try:
                    make()
                except (AssertionError, TypeError) as error:
                    refused.append(str(error))
            return (
                repr(order), order.__dict__, hash(order), len(order), Order.made[-2:], order.next, Order.first(),
                Order.last(), Urgent(3), refused, order < Order.last(), Order.__doc__, str(Order.__signature__),
                Order.__annotations__, Order.__slots__, Urgent.__slots__, msgspec.json.encode(Urgent(3)),
                Order.__match_args__,
            )

        assert says(0)[9] == ["too many", "too many", "not urgent", "Missing required argument 'number'"], says(0)
        there = plait.map(says, [0, 0], model="processes", workers=1)
        assert list(there) == [says(0)] * 2, (list(there), says(0))
        print("all right")
    """
    done = python(BEGIN + textwrap.dedent(script), timeout=60)
    assert (done.stdout, done.stderr) == ("all right\n", "")


def test_a_struct_that_changes_between_runs(python):
    """As in a notebook: what counts is the newest definition, and of one definition the newest globals."""
    script = """
        for version in (1, 2):
            exec(f"class Box(Struct):\\n    a: int = {version}\\n    def get(self): return (self.a, factor)")
            for factor in (10, 20):
                print(list(plait.map(lambda box: box.get(), [Box()] * 2, model="processes", workers=1)))
    """
    done = python(BEGIN + textwrap.dedent(script), timeout=60)
    assert done.stdout == "".join(f"{[(a, factor)] * 2}\n" for a in (1, 2) for factor in (10, 20)), done.stderr


def test_a_struct_whose_post_init_changes_its_globals(python):
    """A Struct keeps the `__post_init__` that it was made with; a worker that has the class already gets the new."""
    script = """
        class Box(Struct):
            a: int = 0
            def __post_init__(self): self.a = factor
        for factor in (10, 20):
            print(list(plait.map(lambda _: Box().a, [0] * 2, model="processes", workers=1)))
    """
    done = python(BEGIN + textwrap.dedent(script), timeout=60)
    assert done.stdout == "[10, 10]\n[20, 20]\n", done.stderr


def test_msgspec_is_imported_where_its_classes_are_only(python):
    done = python("""
        import sys
        from plait.places.processes import clouded
        class Plain: pass
        clouded.dumps(Plain)
        print("msgspec" in sys.modules)
    """)
    assert (done.stdout, done.stderr) == ("False\n", "")
