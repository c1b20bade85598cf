"""What the contract suite shares."""

from pathlib import Path

import pytest

from tests.contract.models import Calls


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    """Where functions note that they were called."""
    return Calls(tmp_path / "calls")
