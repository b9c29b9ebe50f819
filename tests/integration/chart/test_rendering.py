"""What the chart renders: accepted by the API server; a bad value is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from agentspec_usage.devcluster import Cluster, CommandError
from charts.generate import NAMESPACE, REPAIR, generated, stale
from tests.integration.chart.releases import CHART, Releases
from tests.integration.chart.rendering import environment, pods, rendered, the

pytestmark = [pytest.mark.cluster, pytest.mark.helm]

EVERYTHING: dict[str, Any] = {
    "replicas": 3,
    "image": {"digest": f"sha256:{'a' * 64}"},
    "imagePullSecrets": [{"name": "registry"}],
    "operator": {"extraEnv": [{"name": "TZ", "value": "UTC"}]},
    "serviceAccount": {"annotations": {"example.org/a": "b"}},
    "podAnnotations": {"example.org/a": "b"},
    "podLabels": {"example.org/a": "b"},
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}
            ]
        }
    },
    "service": {"annotations": {"example.org/a": "b"}},
    "networkPolicy": {"enabled": True, "apiServerCIDRs": ["10.0.0.0/8", "fd00::/8"]},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboard": {"enabled": True},
    "priceBook": "currency: USD\nentries: []\n",
    "controlPlane": {
        "enabled": True,
        "service": {"annotations": {"example.org/a": "b"}},
        "persistence": {"storageClassName": "fast", "accessMode": "ReadWriteOncePod"},
    },
}

MONITORING = ("ServiceMonitor", "PrometheusRule")


@pytest.mark.parametrize(
    ("program", "variable"),
    [
        pytest.param("operator", "AGENTSPEC_OPERATOR_PRICE_BOOK", id="operator"),
        pytest.param("controlplane", "AGENTSPEC_CONTROLPLANE_PRICE_BOOK", id="control plane"),
    ],
)
def test_the_price_book_is_where_each_program_looks_and_a_new_one_makes_new_pods(
    cluster: Cluster, program: str, variable: str
) -> None:
    def objects_with(text: str) -> list[dict[str, Any]]:
        return rendered(cluster, {"priceBook": text, "controlPlane": {"enabled": True}})

    text = 'currency: USD\nentries:\n- match: {model: "llama*"}\n  multiplier: 0.5\n'
    objects = objects_with(text)
    deployment = the(objects, "Deployment", program)
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "price-book"]
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "price-book"]
    book = next(each for each in objects if "price-book.yaml" in each.get("data", {}))
    assert volume["configMap"] == {"name": book["metadata"]["name"]}
    ((key, content),) = book["data"].items()
    assert environment(deployment)[variable] == f"{mount['mountPath']}/{key}"
    assert content == text
    other = the(objects_with(text + "#"), "Deployment", program)
    assert other["spec"]["template"]["metadata"] != pod["metadata"]


def monitoring_definition(kind: str) -> dict[str, Any]:
    """The least definition by which the API server takes an object of the Prometheus operator."""
    plural = f"{kind.lower()}s"
    any_object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"spec": any_object}}
                    },
                }
            ],
        },
    }


@pytest.fixture
def with_monitoring(releases: Releases) -> Cluster:
    """The cluster, knowing the Prometheus operator's kinds."""
    for kind in MONITORING:
        definition = monitoring_definition(kind)
        releases.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(definition))
        name = f"crd/{definition['metadata']['name']}"
        releases.cluster.kubectl("wait", "--for=condition=Established", name, "--timeout=20s")
    return releases.cluster


def test_what_is_generated_is_up_to_date(chart_cluster: Cluster) -> None:
    helm = str(chart_cluster.binaries.path("helm"))
    assert stale(generated(helm)) == [], f"run: {REPAIR}"


def test_helm_lint_finds_nothing(chart_cluster: Cluster) -> None:
    assert "0 chart(s) failed" in chart_cluster.helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize(
    "values", [pytest.param({}, id="defaults"), pytest.param(EVERYTHING, id="everything on")]
)
def test_the_api_server_takes_every_object(
    with_monitoring: Cluster, values: dict[str, Any]
) -> None:
    objects = rendered(with_monitoring, values)
    answer = with_monitoring.kubectl(
        "apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(objects)
    )
    assert len(answer.splitlines()) == len(objects)


def test_install_yaml_applies_after_the_definition(releases: Releases) -> None:
    releases.apply_definition()
    install = str(CHART.parent / "install.yaml")
    answer = releases.cluster.kubectl("apply", "--dry-run=server", "-f", install)
    assert "deployment.apps/agentspec-usage created (server dry run)" in answer


def test_pods_pass_the_restricted_profile(chart_cluster: Cluster) -> None:
    chart_cluster.ensure_namespace("restricted")
    chart_cluster.kubectl(
        "label", "namespace", "restricted", "--overwrite",
        "pod-security.kubernetes.io/enforce=restricted",
    )  # fmt: skip
    every = pods(rendered(chart_cluster, {"controlPlane": {"enabled": True}}))
    assert len(every) == 4
    for number, pod in enumerate(every):
        pod["spec"]["serviceAccountName"] = "default"
        pod["metadata"] = {"name": f"pod-{number}", "namespace": "restricted"}
        pod.update(apiVersion="v1", kind="Pod")
        answer = chart_cluster.kubectl(
            "apply", "--dry-run=server", "-f", "-", stdin=json.dumps(pod)
        )
        assert f"pod/pod-{number} created" in answer

        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
        with pytest.raises(CommandError, match="violates PodSecurity"):
            chart_cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def test_monitoring_network_policy_and_dashboard_come_only_when_asked_for(
    chart_cluster: Cluster,
) -> None:
    optional = {*MONITORING, "ConfigMap", "NetworkPolicy"}
    assert optional.isdisjoint(each["kind"] for each in rendered(chart_cluster))
    assert optional <= {each["kind"] for each in rendered(chart_cluster, EVERYTHING)}


def test_one_replica_has_no_disruption_budget(chart_cluster: Cluster) -> None:
    kinds = [each["kind"] for each in rendered(chart_cluster, {"replicas": 1})]
    assert "PodDisruptionBudget" not in kinds


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param({}, "agentspec/agentspec-usage:0.1.0", id="the chart's version"),
        pytest.param({"tag": "1.2"}, "agentspec/agentspec-usage:1.2", id="tag"),
        pytest.param(
            {"tag": "1.2", "digest": f"sha256:{'0' * 64}"},
            f"agentspec/agentspec-usage@sha256:{'0' * 64}",
            id="digest before tag",
        ),
    ],
)
def test_the_image_is_the_one_that_was_named(
    chart_cluster: Cluster, image: dict[str, str], expected: str
) -> None:
    every = pods(rendered(chart_cluster, {"image": image, "controlPlane": {"enabled": True}}))
    assert {pod["spec"]["containers"][0]["image"] for pod in every} == {expected}


def test_named_namespaces_reach_the_operator_its_roles_and_its_network(
    chart_cluster: Cluster,
) -> None:
    names = ["team-a", "team-b"]
    objects = rendered(
        chart_cluster, {"watchNamespaces": names, "networkPolicy": {"enabled": True}}
    )
    variables = environment(the(objects, "Deployment"))
    assert variables["AGENTSPEC_OPERATOR_NAMESPACES"] == "team-a,team-b"
    roles = [each["metadata"]["namespace"] for each in objects if each["kind"] == "Role"]
    assert sorted(roles) == sorted([*names, NAMESPACE])
    assert "ClusterRoleBinding" not in [each["kind"] for each in objects]
    to_pods = the(objects, "NetworkPolicy")["spec"]["egress"][0]["to"]
    assert to_pods[0]["namespaceSelector"]["matchExpressions"][0]["values"] == names


@pytest.mark.parametrize(
    ("values", "path", "said"),
    [
        pytest.param({"replicas": -1}, "/replicas", "got -1", id="too few"),
        pytest.param({"replicas": "two"}, "/replicas", "got string", id="a word for a number"),
        pytest.param({"replica": 1}, "'replica'", "not allowed", id="misspelt"),
        pytest.param({"image": {"digest": "abc"}}, "/image/digest", "'abc'", id="digest"),
        pytest.param({"image": {"tag": "a b"}}, "/image/tag", "'a b'", id="tag"),
        pytest.param(
            {"watchNamespaces": ["Team_A"]}, "/watchNamespaces/0", "'Team_A'", id="namespace"
        ),
        pytest.param(
            {"watchNamespaces": ["a", "a"]}, "/watchNamespaces", "items at 0 and 1", id="twice"
        ),
        pytest.param(
            {"operator": {"writeBudget": 0}}, "/operator/writeBudget", "got 0", id="no writes"
        ),
        pytest.param(
            {"operator": {"logLevel": "loud"}}, "/operator/logLevel", "'debug'", id="log level"
        ),
        pytest.param(
            {"operator": {"healthPort": 80}}, "/operator/healthPort", "got 80", id="privileged port"
        ),
        pytest.param(
            {"operator": {"scrapeConcurrency": 8}},
            "operator.namespaceConcurrency is 16",
            "operator.scrapeConcurrency, which is 8",
            id="two values that do not fit",
        ),
        pytest.param(
            {"controlPlane": {"enabled": True, "requestRate": 500}},
            "controlPlane.requestBurst is 200",
            "controlPlane.requestRate, which is 500",
            id="a burst below the rate",
        ),
        pytest.param(
            {
                "controlPlane": {
                    "enabled": True,
                    "persistence": {"ephemeral": True, "existingClaim": "usage"},
                }
            },
            "controlPlane.persistence.ephemeral is true",
            "existingClaim is usage",
            id="a volume and none",
        ),
        pytest.param(
            {"controlPlane": {"enabled": True, "replicas": 2}},
            "controlPlane.replicas is 2",
            "SQLite has one writer",
            id="two control planes on a file",
        ),
        pytest.param(
            {"controlPlane": {"persistence": {"size": "10 GB"}}},
            "/controlPlane/persistence/size",
            "'10 GB'",
            id="size",
        ),
        pytest.param(
            {"networkPolicy": {"apiServerCIDRs": ["10.0.0.1"]}},
            "/networkPolicy/apiServerCIDRs/0",
            "'10.0.0.1'",
            id="an address for a CIDR",
        ),
        pytest.param(
            {"serviceMonitor": {"interval": "often"}},
            "/serviceMonitor/interval",
            "'often'",
            id="interval",
        ),
    ],
)
def test_a_bad_value_is_refused_by_name(
    chart_cluster: Cluster, values: dict[str, Any], path: str, said: str
) -> None:
    with pytest.raises(CommandError) as refused:
        rendered(chart_cluster, values)
    assert path in str(refused.value)
    assert said in str(refused.value)
