"""Every error is a problem document, and tells nobody what it should not."""

from __future__ import annotations

import pytest

from agentspec_usage.controlplane.problems import answer_of
from agentspec_usage.errors import AgentspecUsageError, WireError
from agentspec_usage.serving.problems import Refusal, too_many
from agentspec_usage.store.errors import StoreBusyError, StoreError, StoreUnavailableError
from tests.unit.controlplane.planes import Plane


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        pytest.param(WireError("a.b", "a number"), 422, None, id="a body"),
        pytest.param(StoreBusyError("full"), 429, "2", id="a full queue"),
        pytest.param(StoreUnavailableError("SQLITE_FULL"), 503, "2", id="a full disk"),
        pytest.param(too_many("slowly", 0.2), 429, "1", id="too often"),
        pytest.param(StoreError("a secret of ours"), 500, None, id="a fault of ours"),
        pytest.param(AgentspecUsageError("a secret of ours"), 500, None, id="any fault"),
    ],
)
def test_an_error_has_its_answer(
    error: AgentspecUsageError, status: int, retry: str | None
) -> None:
    answer = answer_of(error)
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == retry
    assert b"secret" not in answer.body


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.001, "1"), (1.0, "1"), (1.001, "2"), (6.5, "7"), (10.0, "10")],
)
def test_when_to_come_again_is_never_too_early(seconds: float, shown: str) -> None:
    refusal = too_many("slowly", seconds)
    assert isinstance(refusal, Refusal)
    assert refusal.headers["Retry-After"] == shown


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/nothing", 404, id="unknown path"),
        pytest.param("PUT", "/heartbeat", 405, id="other method"),
    ],
)
async def test_what_is_not_served_is_a_problem_too(
    plane: Plane, method: str, path: str, status: int
) -> None:
    answer = await plane.http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
