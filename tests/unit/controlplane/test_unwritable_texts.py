"""A text that no database can hold is a wrong question, and no fault of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.controlplane.planes import ADMIN, Plane


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/usage/billing?org_id=a%00b", id="namespace"),
        pytest.param("/usage/history?user_id=a%00b", id="user"),
        pytest.param("/usage/daily?model=a%00b", id="model"),
        pytest.param("/usage/billing?agent_id=team/a%00b", id="agent"),
        pytest.param("/usage/agents/team%2Fa%00b", id="agent of the path"),
        pytest.param("/usage/models/a%00b", id="model of the path"),
        pytest.param("/usage/statement?month=2026-09&org_id=a%00b", id="statement"),
        pytest.param("/usage/focus?month=2026-09&org_id=a%00b", id="file of charges"),
    ],
)
async def test_one_in_a_query_is_refused(plane: Plane, path: str) -> None:
    answer = await plane.http.get(path, headers=ADMIN)
    assert answer.status_code == 422


@pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=["NUL", "half a surrogate pair"])
@pytest.mark.parametrize("field", ["orgId", "model"])
async def test_one_in_a_body_is_refused(plane: Plane, field: str, text: str) -> None:
    body: dict[str, Any] = {"month": "2026-09", field: text, "dryRun": True}
    answer = await plane.http.post("/usage/reprice", content=json.dumps(body), headers=ADMIN)
    assert answer.status_code == 422, answer.text
