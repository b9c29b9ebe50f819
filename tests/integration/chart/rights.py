"""Everything that a ServiceAccount or user may do, asked of the API server right by right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

__all__ = ["VERBS", "Resource", "Right", "allowed", "may", "resources", "rules", "service_account"]

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource or subresource (``pods/exec``) that the API server has."""

    group: str
    name: str
    namespaced: bool


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """A verb on a resource: in a namespace, or everywhere when that is empty."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""


def service_account(namespace: str, name: str) -> tuple[str, tuple[str, ...]]:
    """The user name and groups that a ServiceAccount's token stands for."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return f"system:serviceaccount:{namespace}:{name}", (*groups, "system:authenticated")


def resources(client: httpx.Client) -> Iterator[Resource]:
    """Everything that the API server serves, subresources included."""
    paths = {"": "/api/v1"}
    for group in client.get("/apis").raise_for_status().json()["groups"]:
        paths[group["name"]] = f"/apis/{group['preferredVersion']['groupVersion']}"
    for group, path in paths.items():
        for served in client.get(path).raise_for_status().json()["resources"]:
            yield Resource(group, served["name"], served["namespaced"])


def allowed(
    client: httpx.Client,
    subject: tuple[str, tuple[str, ...]],
    served: list[Resource],
    namespaces: tuple[str, ...],
) -> set[Right]:
    """Which of all rights ``subject`` has: each verb on each resource in each namespace."""
    rights: set[Right] = set()
    for resource in served:
        for namespace in ("", *namespaces) if resource.namespaced else ("",):
            for verb in VERBS:
                right = Right(verb, resource.group, resource.name, namespace)
                if may(client, subject, right):
                    rights.add(right)
    return rights


def may(client: httpx.Client, subject: tuple[str, tuple[str, ...]], right: Right) -> bool:
    """Whether ``subject`` has ``right``: what ``kubectl auth can-i --as`` asks."""
    user, groups = subject
    resource, _, subresource = right.resource.partition("/")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user,
            "groups": list(groups),
            "resourceAttributes": {
                "verb": right.verb,
                "group": right.group,
                "resource": resource,
                "subresource": subresource,
                "namespace": right.namespace,
                "name": right.name,
            },
        },
    }
    answer = client.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json=review)
    return bool(answer.raise_for_status().json()["status"]["allowed"])


def rules(client: httpx.Client, subject: tuple[str, tuple[str, ...]], namespace: str) -> set[str]:
    """Every rule of ``subject`` in ``namespace``, as JSON: by Roles and ClusterRoles alike."""
    user, groups = subject
    answer = client.post(
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        json={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        },
        headers=[("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups)],
    )
    status = answer.raise_for_status().json()["status"]
    assert not status["incomplete"]
    return {json.dumps(rule) for rule in status["resourceRules"] + status["nonResourceRules"]}
