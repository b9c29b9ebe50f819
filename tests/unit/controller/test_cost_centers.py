"""Who pays for an agent: the nearest word counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agentspec_usage.controller.cost_centers import COST_CENTER_LABEL, CostCenters
from agentspec_usage.controller.pods import PodView, project
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.kube.errors import ApiError
from tests.fakes.hand_clock import HandClock
from tests.unit.controller.records import record

POD = project({"metadata": {"uid": "pod-1", "name": "pod-1", "namespace": "team"}})


class Namespaces:
    """The API server's namespaces; ``label`` None cannot be read."""

    def __init__(self, label: str | None = "") -> None:
        self.label = label
        self.asked = 0

    async def get_namespace(self, name: str) -> Mapping[str, Any] | None:
        self.asked += 1
        if self.label is None:
            raise ApiError(403, "Forbidden", "no")
        return {"metadata": {"name": name, "labels": {COST_CENTER_LABEL: self.label}}}


def labelled(center: str, created_at: int = 0, phase: str = "Running") -> PodView:
    labels = {COST_CENTER_LABEL: center} if center else {}
    return replace(POD, labels=labels, created_at=created_at, phase=phase)


def payer(
    *pods: PodView,
    spec: str | None = None,
    namespace: str | None = "",
    default: str = "",
    before: str = "",
) -> str:
    of = record(costCenter=spec) if spec else record()
    of.cost_center = before
    return found(CostCenters(Namespaces(namespace), HandClock(), default), of, *pods)


def found(centers: CostCenters, of: ObservationRecord, *pods: PodView) -> str:
    assert of.spec is not None
    return asyncio.run(centers.of(of, of.spec, pods))


@pytest.mark.parametrize(
    ("pods", "spec", "namespace", "default", "expected"),
    [
        pytest.param([labelled("pods")], "spec", "ns", "all", "pods", id="the pods' label"),
        pytest.param([labelled("")], "spec", "ns", "all", "spec", id="the object"),
        pytest.param([labelled("")], None, "ns", "all", "ns", id="the namespace's label"),
        pytest.param([labelled("")], None, "", "all", "all", id="the default"),
        pytest.param([labelled("")], None, "", "", "", id="nobody"),
        pytest.param([], "spec", "ns", "all", "spec", id="no pods yet"),
        pytest.param([labelled("")], "a\nb" + "é" * 100, "", "", None, id="what does not print"),
    ],
)
def test_the_nearest_word_counts(
    pods: list[PodView], spec: str | None, namespace: str, default: str, expected: str | None
) -> None:
    center = payer(*pods, spec=spec, namespace=namespace, default=default)
    if expected is None:
        assert center.startswith("a?b")
        assert len(center.encode()) <= 128
    else:
        assert center == expected


def test_of_pods_that_disagree_the_newest_that_bears_a_label_decides() -> None:
    pods = [labelled("old", 1), labelled("new", 2), labelled("", 3), labelled("over", 4, "Failed")]
    assert payer(*pods) == payer(*reversed(pods)) == "new"


def test_scaled_to_zero_who_paid_stays() -> None:
    assert payer(spec="spec", before="pods") == "pods"
    assert payer(labelled("x", phase="Succeeded"), spec="spec", before="pods") == "pods"


def test_a_namespace_that_cannot_be_read_changes_nothing() -> None:
    assert payer(POD, namespace=None, before="ns", default="all") == "ns"
    assert payer(POD, namespace=None, default="all") == "all"


def test_a_namespace_is_read_once_in_five_minutes_also_when_it_cannot_be() -> None:
    for label in ("one", None):
        clock, namespaces = HandClock(), Namespaces(label)
        centers = CostCenters(namespaces, clock, "")
        for _ in range(10):
            found(centers, record(), POD)
        assert namespaces.asked == 1
        namespaces.label = "two"
        clock.pass_seconds(301)
        assert found(centers, record(), POD) == "two"
        assert namespaces.asked == 2


def test_a_namespace_is_not_read_while_something_nearer_says_it() -> None:
    namespaces = Namespaces("ns")
    found(CostCenters(namespaces, HandClock(), ""), record(), labelled("pods"))
    assert namespaces.asked == 0
