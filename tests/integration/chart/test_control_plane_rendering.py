"""The control plane comes when asked for, alone on its volume, with the settings it was given."""

from __future__ import annotations

from typing import Any

import pytest

from agentspec_usage.devcluster import Cluster
from tests.integration.chart.releases import NAMESPACE
from tests.integration.chart.rendering import COMPONENT, environment, rendered, the

pytestmark = [pytest.mark.cluster, pytest.mark.helm]

SETTINGS = {
    "port": 9000,
    "checkpointInterval": 7,
    "remoteInterval": 11,
    "remoteSilence": 90,
    "remoteWriteRate": 3,
    "zone": "Asia/Kathmandu",
    "settleHours": 48,
    "closeGraceHours": 36,
    "eventFlushInterval": 9,
    "cluster": "prod-1",
    "keyDays": 30,
    "heartbeatInterval": 2.5,
    "requestRate": 60,
    "requestBurst": 100000,
    "instanceRate": 0.25,
    "instanceBurst": 1000000,
    "requestsUnderWay": 64,
    "bodyTimeout": 3,
    "commitWait": 0.5,
    "stopTimeout": 300,
    "logFormat": "text",
    "logLevel": "debug",
}


SEALED = {"seal": {"keySecret": "the-seal-key"}}
"""The operator's key is given: every rendering would make another one."""


def with_control_plane(cluster: Cluster, /, **values: Any) -> list[dict[str, Any]]:
    return rendered(cluster, {"controlPlane": {"enabled": True, **values}, **SEALED})


def volume_of(deployment: dict[str, Any], name: str) -> dict[str, Any]:
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    (found,) = [volume for volume in volumes if volume["name"] == name]
    return {key: value for key, value in found.items() if key != "name"}


def test_without_being_asked_for_nothing_of_it_is_there(chart_cluster: Cluster) -> None:
    components = {
        each["metadata"].get("labels", {}).get(COMPONENT) for each in rendered(chart_cluster)
    }
    assert "operator" in components
    assert "controlplane" not in components


def test_it_changes_nothing_of_the_operator_but_that_its_pods_know_it(
    chart_cluster: Cluster,
) -> None:
    alone = rendered(chart_cluster, SEALED)
    both = with_control_plane(chart_cluster)
    told = the(alone, "Deployment", "operator")
    unchanged = [each for each in alone if each is not told]
    assert [each for each in both if each in unchanged] == unchanged
    added = environment(the(both, "Deployment", "operator")).keys() - environment(told).keys()
    assert added == {
        "AGENTSPEC_OPERATOR_CONTROL_PLANE_URL",
        "AGENTSPEC_OPERATOR_CONTROL_PLANE_TOKEN_FILE",
    }


def test_each_value_reaches_its_own_setting(chart_cluster: Cluster) -> None:
    objects = with_control_plane(chart_cluster, **SETTINGS)
    deployment, service = (the(objects, kind, "controlplane") for kind in ("Deployment", "Service"))
    variables = environment(deployment)
    for value, given in SETTINGS.items():
        field = "".join(f"_{char}" if char.isupper() else char for char in value).upper()
        assert variables[f"AGENTSPEC_CONTROLPLANE_{field}"] == str(given)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["ports"][0]["containerPort"] == SETTINGS["port"]
    assert service["spec"]["ports"][0]["port"] == SETTINGS["port"]
    assert pod["terminationGracePeriodSeconds"] > SETTINGS["stopTimeout"]


def test_one_pod_has_the_database_and_the_next_one_waits_for_its_end(
    chart_cluster: Cluster,
) -> None:
    objects = with_control_plane(chart_cluster)
    deployment = the(objects, "Deployment", "controlplane")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    claim = the(objects, "PersistentVolumeClaim", "controlplane")
    name = claim["metadata"]["name"]
    assert volume_of(deployment, "data") == {"persistentVolumeClaim": {"claimName": name}}
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
    }


@pytest.mark.parametrize(
    ("persistence", "volume"),
    [
        pytest.param(
            {"existingClaim": "usage"},
            {"persistentVolumeClaim": {"claimName": "usage"}},
            id="a claim that is there",
        ),
        pytest.param({"ephemeral": True}, {"emptyDir": {}}, id="none, asked for by name"),
    ],
)
def test_no_claim_is_made_where_another_place_is_named(
    chart_cluster: Cluster, persistence: dict[str, Any], volume: dict[str, Any]
) -> None:
    objects = with_control_plane(chart_cluster, persistence=persistence)
    assert volume_of(the(objects, "Deployment", "controlplane"), "data") == volume
    assert "PersistentVolumeClaim" not in {each["kind"] for each in objects}


def test_keys_that_are_named_are_used_and_none_is_made(chart_cluster: Cluster) -> None:
    objects = with_control_plane(
        chart_cluster, adminKeySecret="the-admin-key", signingKeySecret="the-signing-key"
    )
    assert {"Secret", "ConfigMap"}.isdisjoint(each["kind"] for each in objects)
    deployment = the(objects, "Deployment", "controlplane")
    used = {
        volume_of(deployment, name)["secret"]["secretName"] for name in ("admin-key", "signing-key")
    }
    assert used == {"the-admin-key", "the-signing-key"}


def test_every_path_that_it_is_told_lies_on_a_volume(chart_cluster: Cluster) -> None:
    deployment = the(with_control_plane(chart_cluster), "Deployment", "controlplane")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    mounts = {each["mountPath"]: each.get("readOnly", False) for each in container["volumeMounts"]}
    variables = environment(deployment)
    paths = {name: value for name, value in variables.items() if value and value.startswith("/")}
    for name, path in paths.items():
        assert path.rpartition("/")[0] in mounts, name
    assert not mounts[paths["AGENTSPEC_CONTROLPLANE_DATABASE"].rpartition("/")[0]]
    assert mounts[paths["AGENTSPEC_CONTROLPLANE_ADMIN_KEY_FILE"].rpartition("/")[0]]


def test_with_a_read_only_root_it_still_has_room_for_what_sqlite_writes_beside_the_database(
    chart_cluster: Cluster,
) -> None:
    deployment = the(with_control_plane(chart_cluster), "Deployment", "controlplane")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    assert not mounts["/tmp"].get("readOnly", False)
    assert "emptyDir" in volume_of(deployment, mounts["/tmp"]["name"])


API_SERVER = [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]
DNS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
NOTHING_OF_THE_CLUSTER = {"ledgerConfigMap": "", "remoteAgents": {"namespace": ""}}


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        pytest.param({}, [API_SERVER], id="the API server"),
        pytest.param(NOTHING_OF_THE_CLUSTER, [], id="nobody"),
        pytest.param(
            {**NOTHING_OF_THE_CLUSTER, "database": {"urlSecret": "pg", "port": 6432}},
            [DNS, [{"port": 6432, "protocol": "TCP"}]],
            id="the database, which has a name",
        ),
    ],
)
def test_everybody_may_ask_it_and_it_asks_only_whom_it_needs(
    chart_cluster: Cluster, values: dict[str, Any], asked: list[Any]
) -> None:
    objects = rendered(
        chart_cluster,
        {
            "controlPlane": {"enabled": True, **values},
            "operator": {"controlPlane": {"keySecret": "key" if values else ""}},
            "networkPolicy": {"enabled": True},
        },
    )
    policy = the(objects, "NetworkPolicy", "controlplane")["spec"]
    assert policy["ingress"] == [{"ports": [{"port": "api", "protocol": "TCP"}]}]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"] for rule in policy["egress"]] == asked
    labels = the(objects, "Deployment", "controlplane")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    of_operator = the(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert not of_operator.items() <= labels.items()


def test_prometheus_reads_it_by_its_own_service(chart_cluster: Cluster) -> None:
    objects = rendered(
        chart_cluster, {"controlPlane": {"enabled": True}, "serviceMonitor": {"enabled": True}}
    )
    services = {name: the(objects, "Service", name) for name in ("operator", "controlplane")}
    for name, service in services.items():
        monitor = the(objects, "ServiceMonitor", name)["spec"]
        wanted = monitor["selector"]["matchLabels"].items()
        labels = {key: each["metadata"]["labels"] for key, each in services.items()}
        assert [key for key, found in labels.items() if wanted <= found.items()] == [name]
        assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def test_on_postgresql_there_are_several_and_no_volume(chart_cluster: Cluster) -> None:
    objects = with_control_plane(chart_cluster, replicas=3, database={"urlSecret": "pg"})
    deployment = the(objects, "Deployment", "controlplane")
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["strategy"] == {"type": "RollingUpdate"}
    assert "PersistentVolumeClaim" not in {each["kind"] for each in objects}
    pod = deployment["spec"]["template"]["spec"]
    assert "data" not in {volume["name"] for volume in pod["volumes"]}
    (container,) = pod["containers"]
    (database,) = [one for one in container["env"] if one["name"].endswith("_DATABASE")]
    assert database["valueFrom"] == {"secretKeyRef": {"name": "pg", "key": "url"}}
    lease = environment(deployment)["AGENTSPEC_CONTROLPLANE_LEASE"]
    assert lease == f"{NAMESPACE}/{deployment['metadata']['name']}"
    assert the(objects, "PodDisruptionBudget", "controlplane")["spec"]["maxUnavailable"] == 1


def test_no_role_is_made_that_allows_nothing(chart_cluster: Cluster) -> None:
    objects = with_control_plane(
        chart_cluster,
        database={"urlSecret": "pg"},
        ledgerConfigMap="",
        remoteAgents={"namespace": ""},
    )
    roles = [each for each in objects if each["kind"] in ("Role", "ClusterRole")]
    assert roles
    assert [each["metadata"]["name"] for each in roles if not each.get("rules")] == []


def test_the_operator_s_key_reaches_it_where_there_is_one(chart_cluster: Cluster) -> None:
    for key, wanted in (("", "OPERATOR_SERVICE_ACCOUNT"), ("the-key", "OPERATOR_KEY_FILE")):
        objects = rendered(
            chart_cluster,
            {
                "controlPlane": {"enabled": True},
                "operator": {"controlPlane": {"keySecret": key, "audience": "ours"}},
            },
        )
        deployment = the(objects, "Deployment", "controlplane")
        variables = environment(deployment)
        told = {name for name in variables if "_OPERATOR_" in name and "AUDIENCE" not in name}
        assert told == {f"AGENTSPEC_CONTROLPLANE_{wanted}"}
        if key:
            assert volume_of(deployment, "operator-key")["secret"]["secretName"] == key
        else:
            account = the(objects, "ServiceAccount")["metadata"]["name"]
            assert variables[f"AGENTSPEC_CONTROLPLANE_{wanted}"] == f"{NAMESPACE}/{account}"
            assert variables["AGENTSPEC_CONTROLPLANE_OPERATOR_AUDIENCE"] == "ours"


@pytest.mark.parametrize(
    ("remote", "made"),
    [
        pytest.param({}, ["agentspec-remote"], id="as it is"),
        pytest.param({"createNamespace": False}, [], id="it is there already"),
        pytest.param({"namespace": ""}, [], id="none is shown"),
    ],
)
def test_the_namespace_of_remote_agents_is_made_and_kept(
    chart_cluster: Cluster, remote: dict[str, Any], made: list[str]
) -> None:
    objects = with_control_plane(chart_cluster, remoteAgents=remote)
    found = [each["metadata"] for each in objects if each["kind"] == "Namespace"]
    assert [each["name"] for each in found] == made
    assert all(each["annotations"]["helm.sh/resource-policy"] == "keep" for each in found)


def test_an_alert_allows_for_the_interval_between_two_heads(chart_cluster: Cluster) -> None:
    objects = rendered(
        chart_cluster,
        {
            "controlPlane": {"enabled": True, "checkpointInterval": 1000},
            "prometheusRule": {"enabled": True},
        },
    )
    (group,) = the(objects, "PrometheusRule", "controlplane")["spec"]["groups"]
    alerts = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    assert alerts["AgentspecControlPlaneUnsigned"].endswith("> 3600")
