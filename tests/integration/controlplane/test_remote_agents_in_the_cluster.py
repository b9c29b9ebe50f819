"""Agents that push, seen by kubectl on a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentspec_usage.devcluster import Cluster
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot
from agentspec_usage.wire.heartbeat_encoding import encode_heartbeat
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.contract.crd_schema import ROOT
from tests.integration.controlplane.processes import ADMIN, ControlPlane, control_plane
from tests.integration.controlplane.waiting import until
from tests.unit.store.values import GPT, INSTANCE, frame

pytestmark = pytest.mark.cluster

PRICES = f"""
currency: EUR
entries:
  - match: {{provider: {GPT.provider}, model: "{GPT.model}"}}
    from: 2020-01-01
    tiers: [{{input: 2, output: 10, cachedInput: 1}}]
"""

CRD = "agentobservations.agentspec.io"


class Fleet:
    """What the tests do as agents, as an administrator, and as somebody with kubectl."""

    def __init__(self, cluster: Cluster, namespace: str, plane: ControlPlane) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.plane = plane
        self._keys: dict[str, str] = {}

    def key(self, name: str) -> dict[str, str]:
        if name not in self._keys:
            answer = self._post(
                "register",
                json={"agentName": name, "namespace": self.namespace, "runtime": "docker"},
                headers=ADMIN,
            )
            self._keys[name] = answer.json()["apiKey"]
        return {"Authorization": f"Bearer {self._keys[name]}"}

    def beat(self, name: str, last: int, *, final: bool = False) -> None:
        """A heartbeat of the instance whose frame of ``last`` calls is ``frame(0, last)``."""
        counts = frame(0, last).totals
        snapshot = UsageSnapshot(
            counts, (SeriesRow(GPT, counts),), instance_id=INSTANCE, observer=Observer.SDK,
            final=final,
        )  # fmt: skip
        body = encode_heartbeat({"status": "healthy"}, {"score": 91, "issues": []}, [snapshot])
        self._post("heartbeat", content=body, headers=self.key(name))

    def deliver(self, name: str, since: int, last: int) -> None:
        body = encode_records([encode_frame(frame(since, last))])
        self._post("usage/records", content=body, headers=self.key(name))

    def get(self, name: str) -> dict[str, Any]:
        """The object; empty where there is none."""
        text = self.cluster.kubectl(
            *("-n", self.namespace, "get", "ao", name, "--ignore-not-found", "-o=json")
        )
        return json.loads(text) if text else {}

    def tokens(self, name: str) -> int | None:
        found: int | None = self.get(name).get("status", {}).get("usage", {}).get("totalTokens")
        return found

    def _post(self, path: str, **request: Any) -> httpx.Response:
        answer = httpx.post(f"{self.plane.url}/api/v1/{path}", timeout=20, **request)
        assert answer.is_success, answer.text
        return answer


@pytest.fixture(scope="session")
def definition(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", str(ROOT / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=20s")


@pytest.fixture
def fleet(cluster: Cluster, namespace: str, definition: None, tmp_path: Path) -> Iterator[Fleet]:
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    with control_plane(
        tmp_path,
        f"--kubeconfig={cluster.kubeconfig}",
        f"--remote-namespace={namespace}",
        f"--price-book={prices}",
        "--remote-interval=1",
        f"--lease={namespace}/control-plane",
        "--heartbeat-interval=0",
    ) as plane:
        yield Fleet(cluster, namespace, plane)
        assert plane.terminate() == 0, plane.log
        assert [line for line in plane.lines() if line["level"] == "error"] == []


def test_an_agent_that_pushes_is_listed_with_its_tokens_model_and_cost(fleet: Fleet) -> None:
    truth = frame(0, 5).totals
    fleet.beat("research", 3)
    until(lambda: fleet.tokens("research") == frame(0, 3).totals.total, "its heartbeat is shown")
    fleet.deliver("research", 0, 5)
    until(lambda: fleet.tokens("research") == truth.total, "its calls are shown")

    table = fleet.cluster.kubectl("-n", fleet.namespace, "get", "agentobservations")
    heading, row = (line.split() for line in table.splitlines())
    shown = dict(zip(heading, row, strict=True))
    assert shown["NAME"] == "research"
    assert shown["READY"] == "True"
    assert shown["TOKENS"] == str(truth.total)
    assert shown["MODEL"] == GPT.model
    assert shown["COST"].startswith("€"), "delivered calls are charged, and no estimate"

    found = fleet.get("research")
    assert found["spec"]["source"] == "control-plane"
    status = found["status"]
    assert (status["phase"], status["grade"], status["score"]) == ("Healthy", "A", 91)
    assert status["usage"]["completeness"] == "Exact"
    assert status["usage"]["month"]["tokens"] >= 0


def test_numbers_that_fell_are_taken_in_a_new_epoch_and_forged_ones_are_written_over(
    fleet: Fleet,
) -> None:
    fleet.beat("research", 3)
    until(lambda: fleet.tokens("research"), "it is shown")
    before = fleet.get("research")["status"]["usage"]
    forged = {**before, "totalTokens": 10**6 + before["outputTokens"], "inputTokens": 10**6}
    fleet.cluster.kubectl(
        *("-n", fleet.namespace, "patch", "ao", "research", "--subresource=status"),
        *("--type=merge", "-p", json.dumps({"status": {"usage": forged}})),
    )
    fleet.beat("research", 5)
    until(
        lambda: fleet.tokens("research") == frame(0, 5).totals.total, "what the store knows is back"
    )
    after = fleet.get("research")["status"]["usage"]
    assert after["accountingEpoch"] != before["accountingEpoch"]


def test_an_object_of_the_operator_s_with_the_agent_s_name_is_left_alone(
    fleet: Fleet, cluster: Cluster
) -> None:
    cluster.kubectl(
        *("-n", fleet.namespace, "apply", "-f", "-"),
        stdin=json.dumps(
            {
                "apiVersion": "agentspec.io/v1",
                "kind": "AgentObservation",
                "metadata": {"name": "theirs"},
                "spec": {"agentRef": {"name": "theirs"}},
            }
        ),
    )
    fleet.beat("theirs", 3)
    fleet.beat("ours", 3)
    until(lambda: fleet.tokens("ours"), "the other agent is shown")
    assert "status" not in fleet.get("theirs")
    assert fleet.get("theirs")["metadata"]["generation"] == 1
