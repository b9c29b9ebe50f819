"""What of a status is worth a write."""

from __future__ import annotations

from typing import Any

import pytest

from agentspec_usage.status.usage import meaning

STATUS: dict[str, Any] = {
    "phase": "Healthy",
    "lastChecked": "2026-11-22T12:00:00.000Z",
    "usage": {"totalTokens": 5, "ledger": {"size": 1}, "month": {"tokens": 5}},
    "writerState": "notes",
}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"lastChecked": "2026-11-22T12:01:00.000Z"}, id="the time of the check"),
        pytest.param({"writerState": "other notes"}, id="the packed notes"),
        pytest.param({"usage": STATUS["usage"] | {"ledger": {"size": 2}}}, id="a longer journal"),
    ],
)
def test_what_moves_while_nothing_happens_means_nothing(change: dict[str, Any]) -> None:
    assert meaning(STATUS | change) == meaning(STATUS)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"phase": "Degraded"}, id="the phase"),
        pytest.param({"usage": STATUS["usage"] | {"month": {"tokens": 6}}}, id="money"),
        pytest.param({"usage": STATUS["usage"] | {"totalTokens": 6}}, id="tokens"),
    ],
)
def test_what_people_read_means_something(change: dict[str, Any]) -> None:
    assert meaning(STATUS | change) != meaning(STATUS)
