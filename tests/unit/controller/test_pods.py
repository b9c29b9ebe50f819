"""A pod's JSON becomes a small view; what is missing, odd or endless does no harm."""

from __future__ import annotations

from typing import Any

import pytest

from agentspec_usage.controller.pods import ContainerPort, project
from tests.fakes.kube import pod_json


def test_a_running_pod_is_projected_to_what_the_operator_needs() -> None:
    pod = project(
        {
            "metadata": {
                "uid": "u-1",
                "name": "web-7d9f-x",
                "namespace": "team",
                "labels": {"app": "web", "team": "red"},
                "creationTimestamp": "2026-11-01T08:30:00Z",
                "ownerReferences": [
                    {"kind": "Other", "name": "not-the-controller"},
                    {"kind": "ReplicaSet", "name": "web-7d9f", "controller": True},
                ],
            },
            "spec": {
                "containers": [
                    {"name": "agent", "ports": [{"name": "usage", "containerPort": 8080}]},
                    {"name": "dns", "ports": [{"containerPort": 5353, "protocol": "UDP"}]},
                ]
            },
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.7",
                "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}],
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "agent", "containerID": "containerd://a1"}],
            },
        }
    )

    assert (pod.uid, pod.namespace, pod.name) == ("u-1", "team", "web-7d9f-x")
    assert pod.labels == {"app": "web", "team": "red"}
    assert pod.owner == ("ReplicaSet", "web-7d9f")
    assert pod.ips == ("10.0.0.7", "fd00::7")
    assert (pod.phase, pod.ready, pod.host_network, pod.deleting) == ("Running", True, False, False)
    assert pod.ports == (
        ContainerPort("agent", "usage", 8080, "TCP"),
        ContainerPort("dns", "", 5353, "UDP"),
    )
    assert pod.containers == (("agent", "containerd://a1"),)
    assert pod.created_at == 1_793_521_800_000


def test_a_native_sidecar_declares_ports_and_an_ordinary_init_container_does_not() -> None:
    pod = project(
        pod_json(
            "u",
            spec={
                "containers": [{"name": "agent"}],
                "initContainers": [
                    {"name": "migrate", "ports": [{"containerPort": 1111}]},
                    {
                        "name": "ring",
                        "restartPolicy": "Always",
                        "ports": [{"name": "sidecar-usage", "containerPort": 4001}],
                    },
                ],
            },
        )
    )

    assert pod.ports == (ContainerPort("ring", "sidecar-usage", 4001, "TCP"),)


def test_a_pod_that_has_only_the_single_address_field_is_reached_there() -> None:
    assert project(pod_json("u", status={"podIP": "10.0.0.9"})).ips == ("10.0.0.9",)


def test_an_update_of_what_the_operator_does_not_look_at_leaves_the_view_equal() -> None:
    before, after = pod_json("u", "1"), pod_json("u", "2")
    after["metadata"]["annotations"] = {"note": "new"}
    after["spec"]["nodeName"] = "node-7"

    assert project(before) == project(after)


@pytest.mark.parametrize(
    ("phase", "ended"),
    [
        pytest.param("Pending", False, id="pending"),
        pytest.param("Running", False, id="running"),
        pytest.param("Succeeded", True, id="succeeded"),
        pytest.param("Failed", True, id="failed"),
        pytest.param("Unknown", False, id="unknown-may-come-back"),
    ],
)
def test_a_pod_has_ended_when_its_containers_will_not_run_again(phase: str, ended: bool) -> None:
    assert project(pod_json("u", status={"phase": phase})).ended is ended


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"metadata": None, "spec": None, "status": None}, id="nulls"),
        pytest.param({"metadata": [], "spec": "x", "status": 3}, id="other-types"),
        pytest.param(
            {
                "metadata": {"labels": {"a": 1}, "ownerReferences": "x", "creationTimestamp": "y"},
                "spec": {"containers": [None, {"ports": [{"containerPort": "http"}, 7]}]},
                "status": {"podIPs": [{"ip": None}, "10.0.0.1"], "conditions": {}},
            },
            id="other-types-inside",
        ),
    ],
)
def test_what_is_missing_or_of_another_type_reads_as_absent(pod: dict[str, Any]) -> None:
    view = project(pod)

    assert (view.uid, view.labels, view.owner, view.ips, view.ports) == ("", {}, None, (), ())
    assert (view.ready, view.created_at) == (False, 0)


def test_a_pod_with_endless_lists_costs_a_bounded_view() -> None:
    view = project(
        pod_json(
            "u",
            metadata={"uid": "u", "labels": {f"k{i}": "v" for i in range(5_000)}},
            spec={
                "containers": [
                    {"name": f"c{c}", "ports": [{"containerPort": p} for p in range(1, 500)]}
                    for c in range(500)
                ]
            },
            status={
                "podIPs": [{"ip": f"10.0.0.{i}"} for i in range(200)],
                "containerStatuses": [{"name": f"c{i}"} for i in range(5_000)],
            },
        )
    )

    assert len(view.labels) == 256
    assert len(view.ports) == 256
    assert len(view.containers) == 64
    assert len(view.ips) == 8


def ended(message: object) -> dict[str, Any]:
    return {"terminated": {"exitCode": 0, "message": message}}


def words_of(*statuses: dict[str, Any]) -> list[tuple[str, str]]:
    pod = project(pod_json("u", status={"phase": "Running", "containerStatuses": list(statuses)}))
    return [(words.container, words.message) for words in pod.last_words]


def test_what_ended_containers_left_is_kept_if_it_may_be_usage() -> None:
    mine = '{"instanceId":"a"}'
    before = '{"instanceId":"b"}'
    assert words_of(
        {"name": "agent", "state": ended(mine), "lastState": ended(before)},
        {"name": "dns", "state": ended("Traceback (most recent call last):")},
        {"name": "odd", "state": ended(7), "lastState": "none"},
    ) == [("agent", mine), ("agent", before)]


def test_last_words_without_end_are_bounded() -> None:
    word = '"instanceId"' + "x" * 4000
    kept = words_of(*({"name": f"c{number}", "state": ended(word)} for number in range(60)))
    assert [name for name, _ in kept] == ["c0", "c1", "c2"]
    assert words_of({"name": "agent", "state": ended(word * 4)}) == []
