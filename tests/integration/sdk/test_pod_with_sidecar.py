"""Where the pod has a sidecar, records go to it, and it alone speaks for the pod."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.sdk import Reporter
from agentspec_usage.sdk.posting import PushError
from agentspec_usage.wire.usage import decode_usage
from tests.integration.sdk.receivers import KEY, Reply, Store, listening

NOT_NOW: Reply = (503, {"retry-after": "0"}, b"")


def used(calls: int) -> TokenCounts:
    return TokenCounts(input=100 * calls, output=20 * calls, calls=calls)


def work(reporter: Reporter, calls: int) -> None:
    for _ in range(calls):
        reporter.ledger.record("openai/gpt-4o", 100, 20)


@pytest.fixture
def sidecar() -> Store:
    """It takes frames as the control plane does."""
    return Store()


@pytest.fixture
def environment(sidecar: Store, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a pod whose sidecar listens."""
    with listening(sidecar) as url:
        yield {
            "AGENTSPEC_SIDECAR_URL": url,
            "AGENTSPEC_CONTROL_PLANE_URL": "http://127.0.0.1:9",
            "AGENTSPEC_API_KEY": KEY,
            "AGENTSPEC_PUSH_INTERVAL": "0.05",
            "AGENTSPEC_TERMINATION_LOG": str(tmp_path / "termination-log"),
        }


def test_frames_go_to_the_sidecar_without_a_key_and_it_heartbeats(
    environment: dict[str, str], sidecar: Store
) -> None:
    reporter = Reporter.from_environment(environment=environment)
    work(reporter, 2)
    assert reporter.pushing
    assert reporter.stop()
    assert sidecar.total == used(2)
    assert sidecar.finals == 1
    assert set(sidecar.log.posts) == {"/usage/records"}
    assert sidecar.log.keys == {""}


def test_every_snapshot_says_that_its_records_travel_through_the_sidecar(
    environment: dict[str, str], tmp_path: Path
) -> None:
    reporter = Reporter.from_environment(environment=environment)
    work(reporter, 1)
    assert [one.via for one in reporter.snapshots()] == ["sidecar"]
    assert reporter.stop()
    (last,) = decode_usage((tmp_path / "termination-log").read_bytes()).snapshots
    assert (last.via, last.totals) == ("sidecar", used(1))


def test_what_a_sidecar_cannot_keep_now_is_kept_and_sent_again(
    environment: dict[str, str], sidecar: Store
) -> None:
    sidecar.log.refusals.extend([NOT_NOW, NOT_NOW])
    told: list[PushError] = []
    reporter = Reporter.from_environment(environment=environment, on_error=told.append)
    work(reporter, 2)
    sidecar.log.wait(lambda: sidecar.total == used(2))
    work(reporter, 1)
    assert reporter.stop()
    assert sidecar.total == used(3)
    assert [record.seq for record in sidecar.records] == [1, 2, 3]
    assert "status 503" in str(told[0])
