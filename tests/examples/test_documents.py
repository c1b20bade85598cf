"""Every Python block of the README and of docs/ runs as it stands, in a fresh interpreter.

Beside it lie the page's blocks that begin with "```python file=NAME".
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks():
    for page in PAGES:
        text = page.read_text()
        files = dict(re.findall(r"^```python file=(\S+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
        for found in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, found.start()) + 2
            yield pytest.param(found[1], files, id=f"{page.relative_to(ROOT)}:{line}")


@pytest.mark.parametrize(("code", "files"), list(blocks()))
def test_it_runs(code, files, python, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = python(code, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_demo_runs_and_its_results_are_equal(python):
    demo = (ROOT / "examples" / "demo.py").read_text()
    done = python(demo, timeout=170)
    assert done.returncode == 0, done.stderr
    assert "serial" in done.stdout
