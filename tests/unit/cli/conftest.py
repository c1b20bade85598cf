"""What tests of the command line share."""

import importlib
import sys

import pytest


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder of its own, and an interpreter that forgets what was imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    importlib.invalidate_caches()
