"""Which objects select a pod, and who of them is asked first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from agentspec_usage.controller.pods import PodView, project
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.controller.register import Register
from agentspec_usage.controller.resolution import Resolution
from agentspec_usage.controller.selector import Selector
from agentspec_usage.metering.checkpoint import new_checkpoint
from agentspec_usage.wire.observation import parse_spec
from tests.fakes.kube import pod_json


def record(
    uid: str, resolution: Resolution | None, *, second: int = 0, **spec: Any
) -> ObservationRecord:
    return ObservationRecord(
        uid=uid,
        namespace="team",
        name=f"name-{uid}",
        created_at=f"2026-11-01T08:00:{second:02}Z",
        resource_version="1",
        generation=1,
        checkpoint=new_checkpoint("e"),
        spec=parse_spec({"agentRef": {"name": "bot"}, **spec}),
        resolution=resolution,
    )


def pod(labels: Mapping[str, str], namespace: str = "team") -> PodView:
    body = pod_json("p1")
    body["metadata"] |= {"labels": dict(labels), "namespace": namespace}
    return project(body)


def by(text: str) -> Resolution:
    return Resolution("PodSelector", "", Selector.parse(text))


@pytest.mark.parametrize(
    ("resolution", "labels", "matches"),
    [
        pytest.param(by("app=web"), {"app": "web"}, True, id="one label"),
        pytest.param(by("app=web"), {"app": "db"}, False, id="another value"),
        pytest.param(by("app=web,tier=a"), {"app": "web", "tier": "b"}, False, id="half of two"),
        pytest.param(by("app=web,tier=a"), {"app": "web", "tier": "a"}, True, id="both"),
        pytest.param(by("app in (web, db)"), {"app": "db"}, True, id="no equality"),
        pytest.param(by("!old"), {"old": ""}, False, id="absence"),
        pytest.param(Resolution("Pod", "pod-p1", None), {}, True, id="the pod of that name"),
        pytest.param(Resolution("Pod", "pod-p2", None), {}, False, id="a pod of another name"),
        pytest.param(None, {"agentspec.io/agent": "bot"}, True, id="not found yet, but labelled"),
    ],
)
def test_a_pod_is_matched_by_what_was_resolved(
    resolution: Resolution | None, labels: dict[str, str], matches: bool
) -> None:
    register = Register()
    register.put(record("u1", resolution))
    assert bool(register.matching(pod(labels))) is matches
    assert register.matching(pod(labels, "elsewhere")) == []


def test_the_oldest_object_comes_first_and_the_uid_decides_between_twins() -> None:
    register = Register()
    for each in (
        record("u3", by("app=web"), second=5),
        record("u2", by("app in (web)"), second=5),
        record("u1", by("app!=db"), second=9),
    ):
        register.put(each)
    assert [r.uid for r in register.matching(pod({"app": "web"}))] == ["u2", "u3", "u1"]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"podSelector": {"matchLabels": {"a": "b"}}}, id="podSelector"),
        pytest.param({"agentRef": {"name": "bot", "kind": "Deployment"}}, id="kind"),
        pytest.param({"source": "control-plane"}, id="of the control plane"),
    ],
)
def test_only_an_object_that_is_found_by_label_claims_labelled_pods(spec: dict[str, Any]) -> None:
    register = Register()
    register.put(record("u1", None, **spec))
    assert register.matching(pod({"agentspec.io/agent": "bot"})) == []


def test_filing_anew_leaves_no_old_place_behind() -> None:
    register = Register()
    moved = record("u1", by("app=web"))
    register.put(moved)
    moved.resolution = by("app=db")
    register.put(moved)
    assert register.matching(pod({"app": "web"})) == []
    assert register.matching(pod({"app": "db"})) == [moved]
    register.remove("u1")
    assert register.matching(pod({"app": "db"})) == []
    assert register.named("team", "name-u1") is None


@pytest.mark.parametrize(
    ("elder", "waits"),
    [
        pytest.param(record("u1", None), True, id="not looked at yet"),
        pytest.param(record("u1", by("app=web")), False, id="resolved"),
        pytest.param(record("u1", None, suspend=True), False, id="suspended"),
        pytest.param(record("u1", None, source="control-plane"), False, id="not ours"),
        pytest.param(record("u1", None, second=9), False, id="younger"),
    ],
)
def test_an_object_waits_for_an_older_one_that_may_own_its_pods(
    elder: ObservationRecord, waits: bool
) -> None:
    register = Register()
    mine = record("u2", by("app=web"), second=5)
    register.put(elder)
    register.put(mine)
    assert register.awaits_elder(mine) is waits
    elder.attempted = True
    register.put(elder)
    assert not register.awaits_elder(mine)
