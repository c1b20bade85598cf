import pytest

from plait.cli.delivery import Delivery
from plait.cli.outputs import Nowhere
from plait.failure import Failure
from plait.surface.write import WriteError


def test_a_list_of_failures_that_cannot_be_made_is_told(tmp_path):
    delivery = Delivery(Nowhere(), str(tmp_path / "gone" / "bad.jsonl"), on_error="skip", ordered=False)
    with pytest.raises(WriteError, match="mkdir -p"), delivery:
        delivery.take(Failure(1, 0, "f", 1, ValueError(), ""))
    assert delivery.kept() == "0 results came, of which none is kept."
