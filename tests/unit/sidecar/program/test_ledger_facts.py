"""What is said of the delivery is about now: a failure that is over is none."""

from __future__ import annotations

import pytest

from agentspec_usage.delivery.sender import SenderStats
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.runtime.ids import new_instance_id
from agentspec_usage.sidecar.ledger.keeper import LedgerKeeper
from agentspec_usage.sidecar.pod_usage import LedgerView


@pytest.mark.parametrize(
    ("stats", "error"),
    [
        pytest.param(None, "", id="nothing is forwarded"),
        pytest.param(SenderStats(failures=2, last_error="ConnectError"), "", id="over"),
        pytest.param(
            SenderStats(failures=2, last_error="ConnectError", failing=True),
            "ConnectError",
            id="going on",
        ),
    ],
)
def test_a_failure_to_forward_is_shown_while_it_lasts(
    stats: SenderStats | None, error: str
) -> None:
    clock = SystemClock()
    keeper = LedgerKeeper(None, "", clock, new_instance_id, forwarded=stats is not None)
    keeper.open()
    assert LedgerView(keeper, clock, lambda: stats).facts().forward_error == error
