import ast
from pathlib import Path

import pytest

import plait
from plait.cli.flow_target import FLOW, load_flow
from plait.cli.target import TargetError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pages = plait.flow(urls).map(fetch).to(sink)", "pages"),
        ("pages: plait.Flow = flow(urls)", "pages"),
        ("pages = plait.map(fetch, urls)", None),
        ("pages = [plait.flow(urls)]", None),
        ("book.pages = plait.flow(urls)", None),
        ("pages: plait.Flow", None),
        ("def flow(): pass", None),
    ],
)
def test_which_statement_seems_to_make_a_flow(text, name):
    assert FLOW.made_by(ast.parse(text).body[0]) == name


class TestTargets:
    @pytest.fixture(autouse=True)
    def module(self, elsewhere):
        Path("flows_here.py").write_text(
            "import plait\nFLOW = plait.flow([1, 2]).map(abs)\ndef made(times=1): return FLOW\ndef other(): return 3\n"
            "class Made: pass\ndef refused(): return plait.flow([1]).map(abs, width=0)\n"
        )

    @pytest.mark.parametrize("target", ["flows_here:FLOW", "flows_here.py:made"])
    def test_a_flow_or_what_returns_one(self, target):
        assert list(load_flow(target)) == [1, 2]

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("other", r"other\(\) returned an int, not a plait\.Flow"),
            ("Made", "it is a class, not a plait.Flow"),
            ("made.flow", r"made has no 'flow'\. It has: no flows"),
        ],
    )
    def test_what_is_none(self, name, said):
        with pytest.raises(TargetError, match=said):
            load_flow(f"flows_here:{name}")

    def test_a_run(self):
        Path("runs_here.py").write_text("import plait\nRUN = plait.flow([1, 2]).map(abs).run()\n")
        with pytest.raises(TargetError, match=r"it is a run, not a plait\.Flow\. Leave \.run\(\.\.\.\) out"):
            load_flow("runs_here.py:RUN")

    def test_an_error_of_plait_stays_one(self):
        with pytest.raises(plait.OptionError, match="width=0"):
            load_flow("flows_here:refused")
