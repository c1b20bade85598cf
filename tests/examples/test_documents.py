"""Every Python block of the README and of docs/ runs as it stands, in a fresh interpreter."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks():
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, found.start()) + 2
            yield pytest.param(found[1], id=f"{page.relative_to(ROOT)}:{line}")


@pytest.mark.parametrize("code", list(blocks()))
def test_it_runs(code, python, tmp_path):
    done = python(code, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@pytest.mark.slow
def test_the_demo_runs_and_its_results_are_equal(python):
    demo = (ROOT / "examples" / "demo.py").read_text()
    done = python(demo, timeout=170)
    assert done.returncode == 0, done.stderr
    assert "serial" in done.stdout
