import sys
from pathlib import Path

import pytest

from plait.cli.target import TargetError, load

pytestmark = pytest.mark.usefixtures("elsewhere")


def write(name, text):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_is_imported_under_its_name_so_that_workers_can():
    write("deep/work_one.py", "import beside\ndef row(x): return beside.up(x)\n")
    write("deep/beside.py", "def up(x): return x + 1\n")
    row = load("deep/work_one.py:row")
    assert row(1) == 2
    assert row.__module__ == "work_one"
    assert sys.path[0] == str(Path("deep").resolve())


def test_a_module_is_found_in_the_current_folder():
    write("pack_two/__init__.py", "")
    write("pack_two/rows.py", "class Rows:\n    @staticmethod\n    def clean(x): return -x\n")
    assert load("pack_two.rows:Rows.clean")(3) == -3


def test_methods_of_objects_without_a_dict():
    write("plain_three.py", "import re\nFIND = re.compile('a').search\nPAT = re.compile('a')\n")
    assert load("plain_three.py:PAT.search")("bab").span() == (1, 2)
    with pytest.raises(TargetError, match=r"has no 'serch'\. It has: no functions"):
        load("plain_three.py:PAT.serch")


def test_an_installed_module():
    assert load("json:loads")("[1]") == [1]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("work.py", r"does not say which function.*Try work\.py:row"),
        ("work", r"does not say which function to run\. A target is FILE\.py:FUNC or module:FUNC"),
        ("work.py:rows", r"work has no 'rows'\. Did you mean 'row'"),
        ("work.py:other", r"work has no 'other'\. It has: row, two"),
        ("wrok.py:row", r"there is no file wrok\.py\. Did you mean 'work\.py'"),
        ("no_module_here:row", r"there is no module 'no_module_here'"),
        ("work.py:LIMIT", r"it is an int, not a function"),
        ("work.py:two", r"cannot be called with one item: missing a required argument: 'b'\. It is two\(a, b\)"),
        ("broken.py:f", r"its import raised NameError: .*broken\.py, line 2"),
        ("syntax.py:f", r"never closed|invalid syntax"),
        ("needs.py:f", r"its import failed: No module named 'not_installed_here' .*needs\.py, line 1"),
        ("leaves.py:f", r"its import raised SystemExit.*__main__"),
        ("package/inner.py:f", r"relative import.*Give it as module:FUNC"),
        ("json.py:loads", r"Python has another module called json .*Rename the file"),
        ("a.b.py:f", r"cannot import a file called a\.b\.py"),
    ],
)
def test_what_cannot_be_run_is_told_with_what_to_do(target, message):
    write("work.py", "LIMIT = 3\ndef two(a, b): return a\ndef row(x): return x\n")
    write("broken.py", "def f(x): return x\nunknown\n")
    write("syntax.py", "def f(x: return x\n")
    write("needs.py", "import not_installed_here\n")
    write("leaves.py", "raise SystemExit(1)\n")
    write("package/__init__.py", "")
    write("package/inner.py", "from . import other\n")
    write("json.py", "def loads(x): return x\n")
    write("a.b.py", "def f(x): return x\n")
    with pytest.raises(TargetError, match=message) as caught:
        load(target)
    assert "\n" not in str(caught.value)
