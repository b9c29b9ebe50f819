"""The operator is told of a control plane, and gets a token that is good for nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from agentspec_usage.devcluster import Cluster, CommandError
from tests.integration.chart.rendering import environment, rendered, the

pytestmark = [pytest.mark.cluster, pytest.mark.helm]

URL = "AGENTSPEC_OPERATOR_CONTROL_PLANE_URL"
TOKEN_FILE = "AGENTSPEC_OPERATOR_CONTROL_PLANE_TOKEN_FILE"

ELSEWHERE = {"operator": {"controlPlane": {"url": "https://usage.example.org/team"}}}


def operator(cluster: Cluster, values: dict[str, Any]) -> dict[str, Any]:
    sealed = {"seal": {"keySecret": "the-seal-key"}}
    return the(rendered(cluster, values | sealed), "Deployment", "operator")


def token_volume(deployment: dict[str, Any]) -> dict[str, Any]:
    """The volume in which the token is, where the operator looks for it."""
    pod = deployment["spec"]["template"]["spec"]
    (mount,) = [
        each
        for each in pod["containers"][0]["volumeMounts"]
        if environment(deployment)[TOKEN_FILE] == f"{each['mountPath']}/token"
    ]
    (volume,) = [each for each in pod["volumes"] if each["name"] == mount["name"]]
    found: dict[str, Any] = volume
    return found


def test_alone_the_operator_knows_of_no_control_plane(chart_cluster: Cluster) -> None:
    deployment = operator(chart_cluster, {})
    assert not {URL, TOKEN_FILE} & environment(deployment).keys()
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    assert [each["name"] for each in volumes] == ["seal"]


@pytest.mark.parametrize(
    ("values", "url"),
    [
        pytest.param(
            {"controlPlane": {"enabled": True, "port": 8765}},
            "http://usage-agentspec-usage-controlplane.agentspec-system.svc:8765",
            id="the release's own",
        ),
        pytest.param(ELSEWHERE, "https://usage.example.org/team", id="another one"),
        pytest.param(
            ELSEWHERE | {"controlPlane": {"enabled": True}},
            "https://usage.example.org/team",
            id="another one before its own",
        ),
    ],
)
def test_it_hands_in_with_a_token_for_this_alone(
    chart_cluster: Cluster, values: dict[str, Any], url: str
) -> None:
    deployment = operator(chart_cluster, values)
    assert environment(deployment)[URL] == url
    (source,) = token_volume(deployment)["projected"]["sources"]
    assert source == {
        "serviceAccountToken": {
            "path": "token",
            "audience": "agentspec-usage-controlplane",
            "expirationSeconds": 3600,
        }
    }


def test_a_key_of_a_secret_goes_before_the_token(chart_cluster: Cluster) -> None:
    values = {"operator": {"controlPlane": {"url": "http://usage", "keySecret": "operator-key"}}}
    secret = token_volume(operator(chart_cluster, values))["secret"]
    assert secret["secretName"] == "operator-key"
    assert secret["items"] == [{"key": "operator-key", "path": "token"}]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("usage.example.org", id="no scheme"),
        pytest.param("http://me:secret@usage.example.org", id="with a password"),
        pytest.param("http://usage.example.org/?a=b", id="with a query"),
    ],
)
def test_a_url_that_is_none_is_refused(chart_cluster: Cluster, url: str) -> None:
    with pytest.raises(CommandError, match="/operator/controlPlane/url"):
        operator(chart_cluster, {"operator": {"controlPlane": {"url": url}}})


def test_its_way_out_leads_to_the_control_plane_and_to_dns_where_there_is_one(
    chart_cluster: Cluster,
) -> None:
    def ways_out(**values: Any) -> list[dict[str, Any]]:
        watching = {"networkPolicy": {"enabled": True}, "watchNamespaces": ["team-a"]}
        policy = the(rendered(chart_cluster, watching | values), "NetworkPolicy", "operator")
        found: list[dict[str, Any]] = policy["spec"]["egress"]
        return found

    alone, charged = ways_out(), ways_out(controlPlane={"enabled": True})
    assert charged[: len(alone)] == alone
    dns, control_plane = charged[len(alone) :]
    assert {port["port"] for port in dns["ports"]} == {53}
    (peer,) = control_plane["to"]
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "controlplane"
    assert control_plane["ports"] == [{"port": "api", "protocol": "TCP"}]
