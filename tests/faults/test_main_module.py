"""Functions and classes of `__main__`: scripts without a guard, from a file, from stdin, from `-c`."""

import os
import subprocess
import sys
import textwrap

import pytest

BODY = """
import collections, dataclasses, enum, plait

FACTOR = 3

class Colour(enum.Enum):
    RED = 1

@dataclasses.dataclass
class Box:
    value: int
    colour: Colour = Colour.RED

class Special(Exception):
    def __init__(self, box):
        super().__init__(box)
        self.box = box

Pair = collections.namedtuple("Pair", "left right")

def opened():
    return Box(100)

def work(box, extra=None):
    if box.value == 3:
        raise Special(box)
    return Pair(Box(box.value * FACTOR), (lambda v: v + 1)(box.value))

async def work_async(box):
    return work(box)

for model in ["processes", "processes+threads", "processes+async", "auto"]:
    fn = work_async if "async" in model else work
    results = list(plait.map(fn, [Box(v) for v in range(6)], model=model, workers=2, on_error="return"))
    assert type(results[3].exception) is Special and results[3].exception.box == Box(3), results[3]
    assert [type(r) for r in results[:3]] == [Pair] * 3, results
    assert [r.left.value for r in results if r] == [0, 3, 6, 12, 15], results
    assert all(r.left.colour is Colour.RED and type(r.left) is Box for r in results if r)
    closed_over = 7
    assert list(plait.map(lambda x: x + closed_over, range(5), model="processes")) == [7, 8, 9, 10, 11]
extra = list(plait.map(lambda x, box: box.value + x, range(3), model="processes", resources={"box": opened}))
assert extra == [100, 101, 102]
print("all right")
"""


def ways(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(BODY)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text(BODY)
    return {
        "file": ([sys.executable, str(path)], None),
        "stdin": ([sys.executable, "-"], BODY),
        "-c": ([sys.executable, "-c", BODY], None),
        "-m": ([sys.executable, "-m", "package"], None),
    }


@pytest.mark.parametrize("way", ["file", "stdin", "-c", "-m"])
def test_a_main_module_without_a_guard(tmp_path, way):
    command, stdin = ways(tmp_path)[way]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=30, cwd=tmp_path, check=False)
    assert done.stdout == "all right\n", done.stderr
    assert done.stderr == ""


def test_many_objects_of_main_travel_as_plain_data(python):
    """The class is shipped once; each object then costs bytes, not kilobytes."""
    done = python("""
        import plait
        class Box:
            def __init__(self, v): self.v = v
        run = plait.map(lambda b: Box(b.v + 1), [Box(v) for v in range(5000)], model="processes", workers=2)
        assert sum(b.v for b in run) == 12502500
        print((run.report.to_dict()["bytes_from_workers"] + run.report.to_dict()["bytes_to_workers"]) / 5000)
    """)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 100


TASKS = """
import plait

def burn():
    for _ in range(60_000):
        pass

class Scale:
    @plait.task(retries=1)
    def times(self, x):
        return 3 * x

@plait.task(retries=1)
def down(n):
    burn()
    return down(n - 1) if n > 0 else 0

def outer(x):
    burn()
    return down(1) + x

def plain(x):
    burn()
    return x

for model in ("auto", "processes", "processes+threads"):
    assert list(plait.map(plain, range(400), model=model)) == list(range(400))
    assert list(plait.map(outer, range(400), model=model)) == list(range(400))
    assert list(down.map([0, 1, 2], model=model)) == [0, 0, 0]
    assert list(Scale().times.map(range(4), model=model)) == [0, 3, 6, 9]
run = plait.map(outer, range(20), timeout=20)
assert list(run) == list(range(20))
assert run.report.placement.place == "processes", run.report.explain()
print(list(plait.map(type, [down, Scale().times], model="processes"))[0].__name__)
"""


def test_tasks_and_methods_as_tasks_of_main(python):
    done = python(TASKS)
    assert (done.stdout, done.stderr) == ("Task\n", "")


def test_a_module_beside_the_script(tmp_path, python):
    (tmp_path / "beside.py").write_text(
        textwrap.dedent("""
        class Thing:
            def __init__(self, v): self.v = v
        def work(x): return Thing(x * 2)
    """)
    )
    done = python("""
        import beside, plait
        results = list(plait.map(beside.work, range(5), model="processes"))
        assert all(type(r) is beside.Thing for r in results)
        print([r.v for r in results])
    """)
    assert done.stdout == "[0, 2, 4, 6, 8]\n", done.stderr


def test_a_class_that_changes_between_runs(python):
    """As in a notebook: a cell is run again, and its new definition is what counts."""
    done = python("""
        import plait
        for version in (1, 2):
            exec(f"class Box:\\n    def get(self): return {version}\\ndef work(x): return x.get()")
            print(list(plait.map(work, [Box()] * 3, model="processes")))
    """)
    assert done.stdout == "[1, 1, 1]\n[2, 2, 2]\n", done.stderr


@pytest.mark.parametrize("without", ["memfd", "pidfd", "pdeathsig", "schedstat", "oom_score", "affinity,cgroups"])
def test_everything_works_without(tmp_path, without):
    """What only Linux brings, taken away one by one."""
    command, _ = ways(tmp_path)["file"]
    environment = {**os.environ, "PLAIT_WITHOUT": without}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, cwd=tmp_path, env=environment, check=False
    )
    assert (done.stdout, done.stderr) == ("all right\n", "")


WITHOUT_ANY = """
import os, sys, time, plait
from plait.machine import capabilities
assert not any(vars(capabilities()).values())
big = b"x" * (20 << 20)
before = set(os.listdir("/dev/shm")) if os.path.exists("/dev/shm") else set()
assert list(plait.map(lambda b: b, [big] * 6, model="processes", workers=2)) == [big] * 6
def dies(x):
    if x == 7: os._exit(1)
    return x
results = list(plait.map(dies, range(50), model="processes", workers=2, on_error="return"))
assert [x for x, r in enumerate(results) if r != x] == [7]
def hangs(x):
    if x == 7: time.sleep(60)
    return x
results = list(plait.map(hangs, range(50), model="processes", workers=2, timeout=0.5, on_error="return"))
assert [x for x, r in enumerate(results) if r != x] == [7]
assert list(plait.map(abs, range(2000))) == list(range(2000))
maps = plait.default_pool()
workers = [r.pid for r in maps._remotes.values()]
if sys.platform == "linux":
    mapped = [line for pid in workers for line in open(f"/proc/{pid}/maps") if "memfd" in line]
    assert mapped == [], mapped
maps.close()
after = set(os.listdir("/dev/shm")) if os.path.exists("/dev/shm") else set()
assert after <= before, after - before
print("all right")
"""


def test_everything_works_without_any_of_it(python):
    absent = "memfd,pidfd,pdeathsig,schedstat,affinity,cgroups,oom_score"
    done = python(WITHOUT_ANY, env={**os.environ, "PLAIT_WITHOUT": absent})
    assert (done.stdout, done.stderr) == ("all right\n", "")


def test_classes_stay_as_they_are_where_they_are_defined(python):
    """To be sent is no reason to change; nor is to come back, with a result that only goes by value."""
    done = python("""
        import plait
        class Box:
            made = []
            def __init__(self): Box.made.append(factor)
        def work(x):
            Box.made.append(x)
            return lambda: Box
        first = Box.__init__
        for factor in (10, 20):
            (make,) = plait.map(work, ["there"], model="processes")
            assert make() is Box and Box.__init__ is first
            assert Box().made[-1] == factor
            assert list(plait.map(lambda x: Box().made[-1], [0], model="processes")) == [factor]
        print(Box.made)
    """)
    assert (done.stdout, done.stderr) == ("[10, 20]\n", "")
