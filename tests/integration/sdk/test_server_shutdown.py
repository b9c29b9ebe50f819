"""A server that is terminated has delivered what its workers counted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from agentspec_usage.metering.counts import TokenCounts
from tests.integration.sdk.receivers import Store, listening
from tests.integration.sdk.served import get, gunicorn, uvicorn

APPS = "tests.integration.sdk.apps"


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(lambda: uvicorn(f"{APPS}.pushing_asgi:app"), id="uvicorn"),
        pytest.param(
            lambda: uvicorn(f"{APPS}.pushing_asgi:app", "--workers=2"), id="uvicorn, two workers"
        ),
        pytest.param(lambda: gunicorn(f"{APPS}.pushing_wsgi:app"), id="gunicorn"),
        pytest.param(
            lambda: gunicorn(f"{APPS}.pushing_wsgi:app", "--workers=2", "--preload"),
            id="gunicorn, workers forked from a reporter that pushes",
        ),
    ],
)
def test_every_call_is_stored_when_the_server_has_ended(
    serve: Callable[[], AbstractContextManager[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    with listening(store) as url:
        monkeypatch.setenv("CONTROL_PLANE", url)
        with serve() as port:
            for _ in range(8):
                assert get(port, "/ask")[0] == 200
    assert store.total == TokenCounts(input=800, output=160, calls=8)
    assert all(mark.final for mark in store.watermarks.values())
