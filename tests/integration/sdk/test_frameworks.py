"""The usage endpoint in real frameworks, under real servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.wire.usage import decode_usage
from tests.integration.sdk.served import get, gunicorn, uvicorn

APPS = "tests.integration.sdk.apps"

Serve = Callable[[], AbstractContextManager[int]]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(lambda: uvicorn(f"{APPS}.starlette_agent:app"), id="starlette on uvicorn"),
        pytest.param(lambda: uvicorn(f"{APPS}.fastapi_agent:app"), id="fastapi on uvicorn"),
        pytest.param(
            lambda: uvicorn(f"{APPS}.fastapi_agent:app", "--root-path=/behind"),
            id="fastapi behind a prefix",
        ),
        pytest.param(lambda: gunicorn(f"{APPS}.flask_agent:app"), id="flask on gunicorn"),
    ],
)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    serve: Serve = request.param
    with serve() as serving:
        yield serving


def test_what_the_agent_counted_is_what_its_endpoint_answers(port: int) -> None:
    before = decode_usage(get(port, "/agentspec/usage")[2]).snapshots[0].totals
    for _ in range(3):
        assert get(port, "/ask")[0] == 200
    status, headers, body = get(port, "/agentspec/usage")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert headers["cache-control"] == "no-store"
    (seen,) = decode_usage(body).snapshots
    assert seen.totals == before + TokenCounts(input=300, output=60, calls=3)
    assert decode_usage(get(port, "/agentspec/usage")[2]).snapshots[0].totals == seen.totals


def test_health_is_answered_beside_it(port: int) -> None:
    status, _, body = get(port, "/agentspec/health")
    assert status == 200
    assert json.loads(body)["status"] in {"healthy", "degraded"}


def test_nothing_else_is_answered_there(port: int) -> None:
    assert get(port, "/agentspec/secrets")[0] == 404
    status, headers, _ = get(port, "/agentspec/usage", method="POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert get(port, "/agentspec/usage", method="HEAD")[::2] == (200, b"")


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(lambda: uvicorn(f"{APPS}.alone:asgi", "--lifespan=on"), id="asgi"),
        pytest.param(lambda: gunicorn(f"{APPS}.alone:wsgi"), id="wsgi"),
    ],
)
def test_the_endpoint_can_be_all_that_a_server_serves(serve: Serve) -> None:
    with serve() as serving:
        (seen,) = decode_usage(get(serving, "/agentspec/usage")[2]).snapshots
        assert seen.totals == TokenCounts(input=100, output=20, calls=1)
        assert json.loads(get(serving, "/agentspec/health")[2]) == {"status": "healthy"}
