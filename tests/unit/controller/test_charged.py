"""What was read since the control plane answered is added to its answer, and nothing else is."""

from __future__ import annotations

import pytest

from agentspec_usage.controller.charged import Charged, Standing, standing_of
from agentspec_usage.metering.checkpoint import AccruedCost, Checkpoint, new_checkpoint, observe
from agentspec_usage.status.charges import Charges
from agentspec_usage.wire.observed_answer import CostSaid
from tests.unit.metering.readings import POD, A, reading, snapshot

SAID = CostSaid("Exact", 100, "USD")


def counted(tokens: int, pico: int, currency: str = "USD", epoch: str = "e1") -> Checkpoint:
    """A checkpoint of so many tokens, all priced, at so much."""
    seen = observe(new_checkpoint(epoch), POD, reading(snapshot(A, tokens)), 1)
    return Checkpoint(epoch=seen.epoch, live=seen.live, cost=AccruedCost(currency, pico, tokens))


def cost_at(checkpoint: Checkpoint, standing: Standing) -> CostSaid | None:
    return Charged(Charges(SAID), standing).at(checkpoint, 1).cost


@pytest.mark.parametrize(
    ("checkpoint", "expected"),
    [
        pytest.param(counted(10, 7), SAID, id="nothing grew"),
        pytest.param(counted(15, 9), CostSaid("Estimated", 102, "USD"), id="growth"),
        pytest.param(counted(4, 3, epoch="e2"), SAID, id="a new epoch that counts less"),
        pytest.param(counted(50, 30, epoch="e2"), SAID, id="a new epoch that counts more"),
        pytest.param(
            counted(15, 2, "EUR"), CostSaid("Exact", 100, "USD", 5), id="another price book"
        ),
    ],
)
def test_an_answer_moves_by_what_was_counted_since(
    checkpoint: Checkpoint, expected: CostSaid
) -> None:
    assert cost_at(checkpoint, standing_of(counted(10, 7))) == expected
