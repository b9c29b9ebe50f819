"""Several workers behind one port: any of them answers for all, for the dead ones too."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.wire.usage import decode_usage
from tests.integration.sdk.served import get, gunicorn, uvicorn

APPS = "tests.integration.sdk.apps"
_WITHIN = 60.0

Serve = Callable[[], AbstractContextManager[int]]


def usage(port: int) -> tuple[UsageSnapshot, ...]:
    return decode_usage(get(port, "/agentspec/usage")[2]).snapshots


def used(calls: int) -> TokenCounts:
    return TokenCounts(input=100 * calls, output=20 * calls, calls=calls)


def ask_until_workers(port: int, number: int) -> Counter[int]:
    """Calls by pid, until so many processes have made one."""
    calls: Counter[int] = Counter()
    deadline = time.monotonic() + _WITHIN
    while len(calls) < number and time.monotonic() < deadline:
        calls[json.loads(get(port, "/ask")[2])["pid"]] += 1
    assert len(calls) >= number
    return calls


SERVERS = [
    pytest.param(lambda: gunicorn(f"{APPS}.flask_agent:app", "--workers=2"), True, id="gunicorn"),
    pytest.param(
        lambda: gunicorn(f"{APPS}.flask_agent:app", "--workers=2", "--preload"),
        True,
        id="gunicorn, forked after the ledger was made",
    ),
    # While it replaces a killed worker uvicorn now and then leaves a request of any app unanswered.
    pytest.param(lambda: uvicorn(f"{APPS}.fastapi_agent:app", "--workers=2"), False, id="uvicorn"),
]


@pytest.mark.parametrize(("serve", "replaces"), SERVERS)
def test_any_worker_answers_for_all_and_for_one_that_was_killed(
    serve: Serve, replaces: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKERS_DIRECTORY", str(tmp_path / "workers"))
    with serve() as port:
        calls = ask_until_workers(port, 2)
        for _ in range(6):
            seen = usage(port)
            assert sum_counts(one.totals for one in seen) == used(calls.total())
            assert {one.totals.calls for one in seen} == set(calls.values())
            assert not any(one.final for one in seen)

        victim = next(iter(calls))
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + _WITHIN
        while not any(one.final for one in usage(port)) and time.monotonic() < deadline:
            time.sleep(0.02)
        (dead,) = [one for one in usage(port) if one.final]
        assert dead.totals == used(calls[victim])
        assert sum_counts(one.totals for one in usage(port)) == used(calls.total())

        # The server replaces it, and the replacement counts beside the dead one.
        more = calls + (ask_until_workers(port, 2) if replaces else Counter())
        assert len(more) == (3 if replaces else 2)
        assert sum_counts(one.totals for one in usage(port)) == used(more.total())

    # What every worker counted outlives the server.
    with serve() as port:
        assert sum_counts(one.totals for one in usage(port)) == used(more.total())


def test_without_a_directory_each_worker_answers_for_itself() -> None:
    with gunicorn(f"{APPS}.flask_agent:app", "--workers=2") as port:
        calls = ask_until_workers(port, 2)
        seen: dict[str | None, TokenCounts] = {}
        deadline = time.monotonic() + _WITHIN
        while len(seen) < 2 and time.monotonic() < deadline:
            (one,) = usage(port)
            seen[one.instance_id] = one.totals
    assert sum_counts(seen.values()) == used(calls.total())
