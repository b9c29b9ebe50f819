"""``GET /audit`` lists the ring."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.sidecar.control.ports import Sidecar


@pytest.mark.parametrize(
    ("query", "listed"),
    [
        ("", ["r0", "r1", "r2"]),
        ("?limit=2", ["r1", "r2"]),
        ("?limit=0", []),
        ("?limit=99", ["r0", "r1", "r2"]),
        ("?requestId=r1", ["r1"]),
        ("?requestId=unknown", []),
    ],
)
async def test_the_newest_requests_are_listed_the_oldest_first(
    sidecar: Sidecar, http: httpx.AsyncClient, query: str, listed: list[str]
) -> None:
    for number in range(3):
        sidecar.exchange(f"r{number}")
    answer = await http.get(f"/audit{query}")
    assert [entry["requestId"] for entry in answer.json()] == listed


@pytest.mark.parametrize("limit", ["", "-1", "two", "1e3", "9" * 30, "²"])
async def test_a_limit_that_is_no_number_is_refused(http: httpx.AsyncClient, limit: str) -> None:
    answer = await http.get("/audit", params={"limit": limit})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "limit: expected a number of entries"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("POST", "/audit", 405), ("GET", "/events", 405)],
)
async def test_what_is_not_served_is_a_problem(
    http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
