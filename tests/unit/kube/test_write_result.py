"""What each refusal of a status write means for its writer."""

from __future__ import annotations

import pytest

from agentspec_usage.kube.client import write_result
from agentspec_usage.kube.errors import ApiError

RULE = {"message": "totalTokens must not fall", "field": "status.usage"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(ApiError(404, "NotFound", "gone"), "gone", id="deleted"),
        pytest.param(ApiError(409, "Conflict", "modified"), "conflict", id="another-version"),
        pytest.param(ApiError(422, "Invalid", "x", causes=[RULE]), "invalid", id="a-rule-of-ours"),
        pytest.param(ApiError(422, "Invalid", "x"), "invalid", id="no-causes"),
        pytest.param(ApiError(400, "BadRequest", "x"), "invalid", id="bad-request"),
        pytest.param(ApiError(413, "TooLarge", "x"), "invalid", id="too-large"),
        pytest.param(ApiError(429, "TooManyRequests", "x"), "throttled", id="throttled"),
        pytest.param(ApiError(401, "Unauthorized", "x"), "failed", id="credentials"),
        pytest.param(ApiError(403, "Forbidden", "x"), "failed", id="rbac"),
        pytest.param(ApiError(500, "InternalError", "etcd"), "failed", id="etcd"),
        pytest.param(ApiError(503, "ServiceUnavailable", "x"), "failed", id="starting"),
        pytest.param(ApiError(0, "Timeout", "x"), "failed", id="no-answer"),
    ],
)
def test_a_refusal_is_told_apart(error: ApiError, kind: str) -> None:
    assert write_result(error).kind == kind


def test_the_time_that_the_server_asks_for_is_handed_on() -> None:
    assert write_result(ApiError(429, "x", "y", retry_after=7.0)).retry_after == 7.0
