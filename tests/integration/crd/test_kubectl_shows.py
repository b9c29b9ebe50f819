"""The tables that people read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentspec_usage.devcluster import Cluster, CommandError
from tests.contract.statuses import condition, model, usage
from tests.integration.crd.observations import Observations

pytestmark = pytest.mark.cluster

DEFAULT = ["NAME", "READY", "TOKENS", "COST", "MODEL", "COVERAGE", "UPDATED", "AGE"]
WIDE = [
    *DEFAULT,
    "REASON",
    "PHASE",
    "INPUT",
    "OUTPUT",
    "CACHED%",
    "REQS",
    "PODS",
    "SOURCE",
    "$/REQ",
    "MTD",
    "COST-CENTER",
]


def metered(tokens: int, model_id: str) -> dict[str, Any]:
    three_minutes_ago = datetime.now(UTC) - timedelta(minutes=3, seconds=5)
    return {
        "phase": "Healthy",
        "conditions": [condition("Ready", "True", "Metered", "Read 2 of 2 pods.")],
        "usage": usage(
            totalTokens=tokens,
            inputTokens=tokens - 97,
            models=[model(model_id, tokens=tokens), model("__other__", "", tokens=0)],
            coverage="90%",
            source="agent",
            lastUpdateTime=three_minutes_ago.isoformat(timespec="milliseconds"),
            cost={"status": "Estimated", "amount": "1.234", "currency": "USD"},
            costCenter="rd-4711",
            display={
                "tokens": "12.3k",
                "pods": "2/2",
                "cachedPercent": "37%",
                "cost": "~$1.23",
                "costPerCall": "~$0.123",
                "month": "$0.50",
            },
        ),
    }


def unreachable() -> dict[str, Any]:
    return {
        "phase": "Unhealthy",
        "conditions": [condition("Ready", "False", "AgentUnreachable", "0 of 1 pods answered.")],
    }


@pytest.fixture
def fleet(observations: Observations) -> Observations:
    """Two metered agents and one that cannot be read."""
    for name, status in (
        ("alpha", metered(12_345, "gpt-4o-mini")),
        ("beta", metered(9_007_199_254_740_991, "claude-sonnet-4-5")),
        ("gamma", unreachable()),
    ):
        observations.create(name).raise_for_status()
        observations.write_status(name, status).raise_for_status()
    return observations


def table(defined: Cluster, fleet: Observations, *arguments: str) -> list[list[str]]:
    """The words of what kubectl prints, cut where its columns begin."""
    lines = defined.kubectl("-n", fleet.namespace, "get", *arguments).splitlines()
    starts = [
        at for at, char in enumerate(lines[0]) if char != " " and lines[0][at - 1 : at] in ("", " ")
    ]
    ends = [*starts[1:], None]
    return [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines]


@pytest.mark.parametrize("name", ["agentobservations", "agentobservation", "ao", "agentspec"])
def test_every_name_of_the_kind_lists_it(defined: Cluster, fleet: Observations, name: str) -> None:
    listed = defined.kubectl("-n", fleet.namespace, "get", name, "--no-headers")
    assert "alpha" in listed


def test_the_table_shows_what_was_used(defined: Cluster, fleet: Observations) -> None:
    header, alpha, beta, gamma = table(defined, fleet, "ao")
    assert header == DEFAULT
    assert alpha[:6] == ["alpha", "True", "12345", "~$1.23", "gpt-4o-mini", "90%"]
    assert alpha[6].startswith("3m")
    assert beta[2] == "9007199254740991"
    assert gamma[:7] == ["gamma", "False", "", "", "", "", ""]


def test_the_wide_table_says_why_and_where_from(defined: Cluster, fleet: Observations) -> None:
    header, alpha, _, gamma = table(defined, fleet, "ao", "-o", "wide")
    assert header == WIDE
    shown = ["Metered", "Healthy", "12248", "97", "37%", "10", "2/2", "agent", "~$0.123"]
    assert alpha[8:] == [*shown, "$0.50", "rd-4711"]
    assert gamma[8:10] == ["AgentUnreachable", "Unhealthy"]


def test_agents_sort_by_tokens(defined: Cluster, fleet: Observations) -> None:
    rows = table(defined, fleet, "ao", "--sort-by=.status.usage.totalTokens")
    assert [row[0] for row in rows[1:]] == ["gamma", "alpha", "beta"]


def test_kubectl_waits_until_an_agent_is_ready(defined: Cluster, fleet: Observations) -> None:
    ready = defined.kubectl("-n", fleet.namespace, "wait", "--for=condition=Ready", "ao/alpha")
    assert "condition met" in ready
    with pytest.raises(CommandError, match="timed out"):
        defined.kubectl(
            "-n", fleet.namespace, "wait", "--for=condition=Ready", "ao/gamma", "--timeout=1s"
        )


def test_describe_reads_in_words(defined: Cluster, fleet: Observations) -> None:
    text = defined.kubectl("-n", fleet.namespace, "describe", "ao", "alpha")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in ("Total Tokens: 12345", "Cached Percent: 37%", "Message: Read 2 of 2 pods."):
        assert line in lines
