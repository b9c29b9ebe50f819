"""Observations against a real process: killed in between, beside deliveries, and by strangers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agentspec_usage.devcluster import Cluster
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.wire.observed_answer import AgentSaid, decode_observed_answer
from agentspec_usage.wire.observed_encoding import (
    Observation,
    encode_observation,
    encode_observed,
)
from tests.integration.controlplane.processes import ADMIN, ControlPlane, control_plane
from tests.integration.controlplane.senders import Sender, flush

COMMAND = Path(sys.executable).with_name("agentspec-usage")
KEY = "an operator key of the tests"
AUDIENCE = "agentspec-usage-controlplane"
GPT_5 = SeriesKey("openai", "gpt-5")


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    key = tmp_path / "operator-key"
    key.write_text(f"{KEY}\n")
    with control_plane(tmp_path, f"--operator-key-file={key}") as running:
        yield running


def seen(counts: TokenCounts, instance_id: str = "a" * 32, name: str = "bot") -> bytes:
    """A body: the agent's only pod answered that it used ``counts``."""
    rows = (SeriesRow(GPT_5, counts),)
    snapshot = UsageSnapshot(counts, rows, instance_id=instance_id, observer=Observer.SDK)
    reading = UsageReading((snapshot,))
    observation = Observation("agentspec-remote", name, "pod-1", reading=reading)
    return encode_observed([encode_observation(observation)])


def hand_in(plane: ControlPlane, body: bytes, shown: str = KEY) -> httpx.Response:
    return httpx.post(
        f"{plane.url}/api/v1/usage/observed",
        content=body,
        headers={"Authorization": f"Bearer {shown}"},
        timeout=10,
    )


def said(plane: ControlPlane, body: bytes) -> AgentSaid:
    answer = hand_in(plane, body)
    assert answer.status_code == 200, answer.text
    (agent,) = decode_observed_answer(answer.content).agents
    return agent


def test_what_was_answered_is_there_after_a_kill_and_repeating_it_adds_nothing(
    plane: ControlPlane,
) -> None:
    body = seen(TokenCounts(input=1000, output=500, calls=1))
    before = said(plane, body)
    assert (before.month.tokens, before.tail_calls) == (1500, 1)
    assert before.cost is not None
    assert (before.cost.status, before.cost.pico) == ("Estimated", 6_250_000_000)  # $0.00625
    plane.kill()
    plane.start()
    assert said(plane, body) == before
    assert said(plane, seen(TokenCounts(input=1, calls=1))) == before


def test_an_agent_that_is_looked_at_and_delivers_is_counted_once(plane: ControlPlane) -> None:
    sender = Sender(plane.url, plane.register("bot"), 5)
    sender.call(40)
    told = sender.truth
    assert said(plane, seen(told, sender.instance_id)).tail_calls == 40
    flush([sender])
    after = said(plane, seen(told, sender.instance_id))
    assert (after.month.tokens, after.tail_tokens) == (sender.truth.total, 0)
    billed = plane.get("/api/v1/usage/billing", headers=ADMIN).json()
    assert billed["totalTokens"] == sender.truth.total


def test_a_pod_that_is_looked_at_by_another_name_is_counted_once_and_says_so(
    plane: ControlPlane,
) -> None:
    sender = Sender(plane.url, plane.register("research"), 5)
    sender.call(40)
    body = seen(sender.truth, sender.instance_id, name="research-bot")
    before = said(plane, body)
    assert (before.tail_calls, before.charged_as) == (40, "")
    flush([sender])
    plane.kill()
    plane.start()
    after = said(plane, body)
    assert (after.month.tokens, after.cost, after.charged_as) == (0, None, "research")
    billed = plane.get("/api/v1/usage/billing", headers=ADMIN).json()
    assert billed["totalTokens"] == sender.truth.total
    assert plane.terminate() == 0
    checked = run("verify", "--database", plane.database)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_statement_says_what_is_provisional_and_verify_finds_nothing_wrong(
    plane: ControlPlane,
) -> None:
    said(plane, seen(TokenCounts(input=1000, output=500, calls=1)))
    month = time.strftime("%Y-%m", time.gmtime())
    done = run("statement", f"--database={plane.database}", f"--month={month}", "--format=json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["calls"], document["tokens"], document["estimated"]) == (1, 1500, 1)
    assert plane.terminate() == 0
    checked = run("verify", "--database", plane.database)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.cluster
def test_a_token_lets_in_for_its_own_audience_and_account_alone(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    def token(account: str, audience: str) -> str:
        flags = (f"--namespace={namespace}", f"--audience={audience}")
        return cluster.kubectl("create", "token", account, *flags).strip()

    cluster.kubectl("create", "serviceaccount", "operator", f"--namespace={namespace}")
    body = seen(TokenCounts(input=1, calls=1))
    with control_plane(
        tmp_path,
        f"--operator-service-account={namespace}/operator",
        f"--kubeconfig={reviewer(cluster, namespace, tmp_path)}",
    ) as plane:
        good = token("operator", AUDIENCE)
        assert hand_in(plane, body, good).status_code == 200
        for stranger in (
            token("default", AUDIENCE),
            token("operator", "another-program"),
            cluster.kubectl("create", "token", "operator", f"--namespace={namespace}").strip(),
            good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
            KEY,
        ):
            assert hand_in(plane, body, stranger).status_code == 401
        assert good not in plane.log


def reviewer(cluster: Cluster, namespace: str, directory: Path) -> Path:
    """A kubeconfig that may review tokens, and do nothing else."""
    role = f"reviewer-{namespace}"
    cluster.kubectl(
        "create",
        "clusterrole",
        role,
        "--verb=create",
        "--resource=tokenreviews.authentication.k8s.io",
    )
    cluster.kubectl("create", "serviceaccount", "reviewer", f"--namespace={namespace}")
    cluster.kubectl(
        *("create", "clusterrolebinding", role, f"--clusterrole={role}"),
        f"--serviceaccount={namespace}:reviewer",
    )
    return cluster.service_account_kubeconfig(namespace, "reviewer", directory / "reviewer")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
