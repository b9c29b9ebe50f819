"""A new accounting epoch: what was used before it does not count."""

from __future__ import annotations

import pytest

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.checkpoint import (
    Source,
    new_checkpoint,
    observe,
    reasons,
    restart_epoch,
    source_of,
    totals,
)
from agentspec_usage.metering.completeness import Reason
from tests.unit.metering.readings import LATER_POD, OTHER_POD, POD, A, B, C, reading, snapshot


def test_in_pods_that_existed_only_growth_counts_and_later_pods_count_in_full() -> None:
    cp = restart_epoch("e2", [POD, OTHER_POD], sources={POD.uid: Source.SIDECAR})
    cp = observe(cp, POD, reading(snapshot(A, 100)), 1000)
    assert totals(cp).input == 0
    cp = observe(cp, POD, reading(snapshot(A, 130)), 2000)
    cp = observe(cp, OTHER_POD, reading(snapshot(B, 50)), 2000)
    cp = observe(cp, LATER_POD, reading(snapshot(C, 7)), 2000)
    assert totals(cp).input == 30 + 7
    assert cp.epoch == "e2"
    assert Reason.STATUS_TAMPERED in reasons(cp)
    assert source_of(cp, POD.uid) is Source.SIDECAR


def test_a_new_epoch_without_pods_counts_everything_that_comes() -> None:
    cp = observe(restart_epoch("e2", []), POD, reading(snapshot(A, 100)), 1000)
    assert totals(cp).input == 100


@pytest.mark.parametrize(
    "epoch",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 129, id="too long"),
        pytest.param("e\n", id="a line break"),
        pytest.param("é", id="not ASCII"),
    ],
)
def test_an_epoch_needs_a_name_that_fits_into_a_status(epoch: str) -> None:
    with pytest.raises(UsageError, match="accounting epoch"):
        new_checkpoint(epoch)
