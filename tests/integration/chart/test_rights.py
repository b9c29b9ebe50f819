"""With the chart's roles the operator can do its work, and nothing else; people get no status.

Every verb on every resource that the API server serves is asked for, so that a rule too wide shows
wherever it leads. What any ServiceAccount may do (ask about itself) is taken off.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import yaml

from tests.integration.chart.releases import NAMESPACE, Releases
from tests.integration.chart.rights import Right, allowed, may, resources, rules, service_account
from tests.integration.crd.observations import Observations

pytestmark = [pytest.mark.cluster, pytest.mark.helm]

OPERATOR = service_account(NAMESPACE, "usage-agentspec-usage")
CONTROL_PLANE = service_account(NAMESPACE, "usage-agentspec-usage-controlplane")
ANYBODY = service_account(NAMESPACE, "default")
PLACES = ("team-a", "team-b", NAMESPACE)
LEASE = "usage-agentspec-usage-operator"

WORK = {
    ("get", "agentspec.io", "agentobservations"),
    ("list", "agentspec.io", "agentobservations"),
    ("watch", "agentspec.io", "agentobservations"),
    ("patch", "agentspec.io", "agentobservations/status"),
    ("get", "", "pods"),
    ("list", "", "pods"),
    ("watch", "", "pods"),
    ("get", "", "services"),
    ("get", "apps", "deployments"),
    ("get", "apps", "statefulsets"),
    ("get", "apps", "daemonsets"),
    ("get", "apps", "replicasets"),
}
"""What the operator needs where it watches."""


LABEL_OF_NAMESPACE = Right("get", "", "namespaces")
"""Who pays: the label of the agents' namespace."""


def work_in(*namespaces: str) -> set[Right]:
    return {Right(*right, namespace) for right in WORK for namespace in namespaces}


@pytest.fixture
def client(releases: Releases) -> Iterator[httpx.Client]:
    releases.apply_definition()
    for namespace in PLACES:
        releases.cluster.ensure_namespace(namespace)
    with releases.cluster.client() as client:
        yield client


def rights_of_the_operator(client: httpx.Client) -> set[Right]:
    served = list(resources(client))
    assert len(served) > 100, "the whole API, not a part"
    return allowed(client, OPERATOR, served, PLACES) - allowed(client, ANYBODY, served, PLACES)


def test_cluster_wide_the_operator_can_do_its_work_and_nothing_else(
    releases: Releases, client: httpx.Client
) -> None:
    releases.install("usage")
    expected = work_in("", *PLACES) | {
        Right("create", "coordination.k8s.io", "leases", NAMESPACE),
        LABEL_OF_NAMESPACE,
    }
    assert rights_of_the_operator(client) == expected


def test_with_namespaces_named_it_can_work_in_those_alone(
    releases: Releases, client: httpx.Client
) -> None:
    releases.install("usage", "--set=watchNamespaces={team-a}")
    expected = work_in("team-a") | {Right("create", "coordination.k8s.io", "leases", NAMESPACE)}
    assert rights_of_the_operator(client) == expected
    # A Role's right to read namespaces is the right to read the one that it is in.
    assert may(client, OPERATOR, replace(LABEL_OF_NAMESPACE, namespace="team-a", name="team-a"))
    assert not may(client, OPERATOR, replace(LABEL_OF_NAMESPACE, namespace="team-b", name="team-b"))


REMOTE = "agentspec-remote"
NOTHING_OF_THE_CLUSTER = (
    "--set=controlPlane.ledgerConfigMap=,controlPlane.remoteAgents.namespace=",
    "--set=operator.controlPlane.keySecret=the-operators-key",
)


REVIEW = ("create", "authentication.k8s.io/tokenreviews", "")
HEADS = {
    ("create", "/configmaps", ""),
    ("get update", "/configmaps", "agentspec-usage-ledger"),
}
OBJECTS = {
    ("get list create", "agentspec.io/agentobservations", ""),
    ("patch", "agentspec.io/agentobservations/status", ""),
}
LEASES = {
    ("create", "coordination.k8s.io/leases", ""),
    ("get update", "coordination.k8s.io/leases", "usage-agentspec-usage-controlplane"),
}


def rules_of_the_control_plane(
    client: httpx.Client,
) -> dict[str, set[tuple[str, str, str]]]:
    """By namespace its verbs, resource and name of each rule that not every account has."""
    found = {}
    for place in (*PLACES, REMOTE):
        own = rules(client, CONTROL_PLANE, place) - rules(client, ANYBODY, place)
        found[place] = {
            (
                " ".join(rule["verbs"]),
                f"{group}/{resource}",
                " ".join(rule.get("resourceNames", ())),
            )
            for rule in map(json.loads, own)
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }
    return found


@pytest.mark.parametrize(
    ("flags", "at_home"),
    [
        pytest.param((), {REVIEW, *HEADS}, id="on a file"),
        pytest.param(
            (
                "--set=controlPlane.replicas=2",
                "--set=controlPlane.database.urlSecret=postgresql",
            ),
            {REVIEW, *HEADS, *LEASES},
            id="one of several",
        ),
    ],
)
def test_the_control_plane_keeps_its_heads_and_shows_remote_agents_and_nothing_else(
    control_planes: Releases,
    client: httpx.Client,
    flags: tuple[str, ...],
    at_home: set[tuple[str, str, str]],
) -> None:
    control_planes.install("usage", "--set=controlPlane.enabled=true", *flags)
    assert rules_of_the_control_plane(client) == {
        "team-a": {REVIEW},
        "team-b": {REVIEW},
        NAMESPACE: at_home,
        REMOTE: {REVIEW, *OBJECTS},
    }


def test_the_control_plane_changes_its_own_config_map_and_no_other(
    control_planes: Releases, client: httpx.Client
) -> None:
    control_planes.install("usage", "--set=controlPlane.enabled=true")

    def may_with_config_map(verb: str, name: str, namespace: str = NAMESPACE) -> bool:
        return may(client, CONTROL_PLANE, Right(verb, "", "configmaps", namespace, name))

    ledger = "agentspec-usage-ledger"
    assert may_with_config_map("get", ledger)
    assert may_with_config_map("update", ledger)
    assert not may_with_config_map("delete", ledger)
    # That ConfigMap has the public key by which others verify.
    assert not may_with_config_map("update", "usage-agentspec-usage-controlplane-signing")
    assert not may_with_config_map("update", ledger, REMOTE)


@pytest.mark.parametrize(
    ("flags", "token_volumes"),
    [
        pytest.param((), 1, id="as it is"),
        pytest.param(NOTHING_OF_THE_CLUSTER, 0, id="without anything of the cluster"),
    ],
)
def test_its_pod_gets_a_token_where_it_has_rights(
    control_planes: Releases, client: httpx.Client, flags: tuple[str, ...], token_volumes: int
) -> None:
    control_planes.install("usage", "--set=controlPlane.enabled=true", *flags)
    assert any(rules_of_the_control_plane(client).values()) is bool(token_volumes)
    name = "usage-agentspec-usage-controlplane"
    found = client.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}").json()
    pod = found["spec"]["template"] | {"metadata": {"name": "token"}}
    # The API server itself adds the token's volume to a pod that is to have it.
    made = client.post(f"/api/v1/namespaces/{NAMESPACE}/pods", json=pod, params={"dryRun": "All"})
    volumes = made.raise_for_status().json()["spec"].get("volumes", [])
    assert len([volume for volume in volumes if "projected" in volume]) == token_volumes


def test_the_operator_has_a_token_of_its_own_and_one_for_the_control_plane(
    control_planes: Releases, client: httpx.Client
) -> None:
    control_planes.install("usage", "--set=controlPlane.enabled=true")
    name = "usage-agentspec-usage"
    found = client.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}").json()
    pod = found["spec"]["template"] | {"metadata": {"name": "token"}}
    made = client.post(f"/api/v1/namespaces/{NAMESPACE}/pods", json=pod, params={"dryRun": "All"})
    volumes = made.raise_for_status().json()["spec"].get("volumes", [])
    assert len([volume for volume in volumes if "projected" in volume]) == 2


def test_it_renews_its_own_lease_and_no_other(releases: Releases, client: httpx.Client) -> None:
    releases.install("usage")

    def may_with_lease(name: str, verb: str, namespace: str = NAMESPACE) -> bool:
        return may(client, OPERATOR, Right(verb, "coordination.k8s.io", "leases", namespace, name))

    assert may_with_lease(LEASE, "get")
    assert may_with_lease(LEASE, "update")
    assert not may_with_lease(LEASE, "delete")
    assert not may_with_lease("kube-scheduler", "update")
    assert not may_with_lease(LEASE, "update", "team-a")


@pytest.fixture
def as_operator(releases: Releases, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client with a token of the installed operator's ServiceAccount."""
    releases.apply_definition()
    releases.install("usage")
    kubeconfig = releases.cluster.service_account_kubeconfig(
        NAMESPACE, "usage-agentspec-usage", tmp_path / "kubeconfig"
    )
    (user,) = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["users"]
    with releases.cluster.client() as client:
        client.headers["Authorization"] = f"Bearer {user['user']['token']}"
        yield client


def test_its_token_writes_a_status(releases: Releases, as_operator: httpx.Client) -> None:
    releases.create_object()
    observations = Observations(as_operator, "team-a")
    observations.write_status("support-bot", {"phase": "Pending"}).raise_for_status()
    assert observations.get("support-bot")["status"] == {"phase": "Pending"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/api/v1/namespaces/team-a/secrets", id="secrets"),
        pytest.param("GET", "/api/v1/namespaces/team-a/configmaps", id="configmaps"),
        pytest.param("GET", "/api/v1/namespaces", id="list namespaces"),
        pytest.param("DELETE", "/api/v1/namespaces/team-a/pods/a", id="delete a pod"),
        pytest.param(
            "DELETE",
            "/apis/agentspec.io/v1/namespaces/team-a/agentobservations/support-bot",
            id="delete an object",
        ),
        pytest.param(
            "PATCH",
            "/apis/agentspec.io/v1/namespaces/team-a/agentobservations/support-bot",
            id="edit an object",
        ),
    ],
)
def test_its_token_is_refused(
    releases: Releases, as_operator: httpx.Client, method: str, path: str
) -> None:
    releases.create_object()
    body = "{}" if method == "PATCH" else None
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = as_operator.request(method, path, content=body, headers=headers)
    assert answer.status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        pytest.param("view", {"get", "list", "watch"}, id="view"),
        pytest.param(
            "edit", {"create", "update", "patch", "delete", "deletecollection"}, id="edit"
        ),
    ],
)
def test_a_role_for_people_has_objects_and_never_their_status(
    releases: Releases, client: httpx.Client, role: str, verbs: set[str]
) -> None:
    releases.install("usage")
    releases.cluster.kubectl(
        "-n", "team-a", "create", "rolebinding", f"people-{role}", f"--user={role}er",
        f"--clusterrole={NAMESPACE}:usage-agentspec-usage:{role}",
    )  # fmt: skip
    served = list(resources(client))
    person = (f"{role}er", ("system:authenticated",))
    stranger = ("stranger", ("system:authenticated",))

    rights = allowed(client, person, served, PLACES) - allowed(client, stranger, served, PLACES)
    assert rights == {Right(verb, "agentspec.io", "agentobservations", "team-a") for verb in verbs}


@pytest.mark.parametrize(
    ("kubernetes_role", "role"), [("view", "view"), ("edit", "edit"), ("admin", "edit")]
)
def test_kubernetes_own_role_takes_it_in(
    releases: Releases, client: httpx.Client, kubernetes_role: str, role: str
) -> None:
    releases.install("usage")
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/"
    ours = client.get(f"{path}{NAMESPACE}:usage-agentspec-usage:{role}").json()
    theirs = client.get(f"{path}{kubernetes_role}").raise_for_status().json()
    wanted = [
        selector["matchLabels"].items()
        for selector in theirs["aggregationRule"]["clusterRoleSelectors"]
    ]
    assert any(labels <= ours["metadata"]["labels"].items() for labels in wanted)
