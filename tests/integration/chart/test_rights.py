"""With the chart's roles the operator can do its work, and nothing else; people get no status.

Every verb on every resource that the API server serves is asked for, so that a rule too wide shows
wherever it leads. What any ServiceAccount may do (ask about itself) is taken off.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    expected = work_in("", *PLACES) | {Right("create", "coordination.k8s.io", "leases", NAMESPACE)}
    assert rights_of_the_operator(client) == expected


def test_with_namespaces_named_it_can_work_in_those_alone(
    releases: Releases, client: httpx.Client
) -> None:
    releases.install("usage", "--set=watchNamespaces={team-a}")
    expected = work_in("team-a") | {Right("create", "coordination.k8s.io", "leases", NAMESPACE)}
    assert rights_of_the_operator(client) == expected


def test_the_control_plane_has_no_rights_and_its_pod_no_token(
    control_planes: Releases, client: httpx.Client
) -> None:
    control_planes.install("usage", "--set=controlPlane.enabled=true")
    for place in PLACES:
        anybodys = rules(client, ANYBODY, place)
        assert rules(client, OPERATOR, place) != anybodys
        assert rules(client, CONTROL_PLANE, place) == anybodys

    deployments = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    for name, token_volumes in (("", 1), ("-controlplane", 0)):
        found = client.get(f"{deployments}/usage-agentspec-usage{name}").json()
        pod = found["spec"]["template"] | {"metadata": {"name": f"token{name}"}}
        # The API server itself adds the token's volume to a pod that is to have it.
        made = client.post(
            f"/api/v1/namespaces/{NAMESPACE}/pods", json=pod, params={"dryRun": "All"}
        )
        volumes = made.raise_for_status().json()["spec"].get("volumes", [])
        assert len([volume for volume in volumes if "projected" in volume]) == token_volumes


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
        pytest.param("GET", "/api/v1/namespaces", id="namespaces"),
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
