"""What the API server itself holds about a status, whoever writes it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from agentspec_usage.metering.counts import MAX_COUNT
from tests.contract.statuses import COUNTERS, largest_status, model, status_with, usage
from tests.integration.crd.observations import Observations, causes

pytestmark = pytest.mark.cluster

NAME = "agent"


@pytest.fixture
def counted(observations: Observations) -> Observations:
    """One object, with 724 tokens in epoch-1."""
    observations.create(NAME).raise_for_status()
    observations.write_status(NAME, status_with()).raise_for_status()
    return observations


@pytest.mark.parametrize("counter", COUNTERS)
def test_no_counter_falls_within_an_epoch(counted: Observations, counter: str) -> None:
    fallen = usage()
    fallen[counter] -= 1
    refused = causes(counted.write_status(NAME, {"usage": fallen}))
    assert refused[f"status.usage.{counter}"].endswith(
        f"{counter} may not fall within one accountingEpoch"
    )


def test_a_new_epoch_may_start_lower(counted: Observations) -> None:
    zeros = dict.fromkeys(COUNTERS, 0)
    assert counted.write_status(NAME, status_with(epoch="epoch-2", **zeros)).is_success
    assert counted.get(NAME)["status"]["usage"]["totalTokens"] == 0


def test_counters_may_stay_and_grow(counted: Observations) -> None:
    assert counted.write_status(NAME, status_with()).is_success
    assert counted.write_status(NAME, status_with(totalTokens=725, inputTokens=628)).is_success


def test_a_model_may_fall_into_the_others(counted: Observations) -> None:
    first = [model("gpt-4o", tokens=700), model("__other__", "", tokens=24)]
    then = [model("__other__", "", tokens=20), model("__unattributed__", "", tokens=704)]
    assert counted.write_status(NAME, status_with(models=first)).is_success
    assert counted.write_status(NAME, status_with(models=then)).is_success


@pytest.mark.parametrize("bound", [None, 1])
def test_the_upper_bound_may_fall_and_go(counted: Observations, bound: int | None) -> None:
    assert counted.write_status(NAME, status_with(upperTokens=900)).is_success
    lower = {} if bound is None else {"upperTokens": bound}
    assert counted.write_status(NAME, status_with(**lower)).is_success


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param([{"op": "remove", "path": "/status"}], id="the whole status"),
        pytest.param([{"op": "remove", "path": "/status/usage"}], id="its usage"),
        pytest.param([{"op": "replace", "path": "/status", "value": {}}], id="emptied"),
    ],
)
def test_usage_once_written_is_not_removed(
    counted: Observations, patch: list[dict[str, Any]]
) -> None:
    (message,) = causes(counted.patch_status(NAME, patch)).values()
    assert "status.usage may not be removed" in message


def test_usage_may_not_appear_with_a_total_that_is_no_sum(observations: Observations) -> None:
    observations.create(NAME).raise_for_status()
    refused = causes(observations.write_status(NAME, status_with(totalTokens=725)))
    assert "must be inputTokens + outputTokens" in refused["status.usage.totalTokens"]


def test_a_saturated_total_is_taken(observations: Observations) -> None:
    observations.create(NAME).raise_for_status()
    saturated = status_with(totalTokens=MAX_COUNT, inputTokens=MAX_COUNT)
    assert observations.write_status(NAME, saturated).is_success


def test_the_largest_status_is_taken_and_comes_back_whole(observations: Observations) -> None:
    observations.create(NAME).raise_for_status()
    largest = largest_status()
    assert observations.write_status(NAME, largest).is_success
    assert observations.get(NAME)["status"] == largest
    assert observations.write_status(NAME, largest).is_success, "the rules afford it twice"
    # etcd takes 1.5 MB an object; the schema's bounds alone stay far below.
    assert len(json.dumps(largest)) < 64 * 1024


def test_a_status_does_not_come_with_the_object(observations: Observations) -> None:
    answer = observations.client.post(
        f"/apis/agentspec.io/v1/namespaces/{observations.namespace}/agentobservations",
        json={
            "apiVersion": "agentspec.io/v1",
            "kind": "AgentObservation",
            "metadata": {"name": NAME},
            "spec": {"agentRef": {"name": NAME}},
            "status": status_with(),
        },
    )
    assert answer.status_code == httpx.codes.CREATED
    assert "status" not in answer.json()


def test_an_edit_of_the_spec_leaves_the_status(counted: Observations) -> None:
    answer = counted.client.patch(
        f"/apis/agentspec.io/v1/namespaces/{counted.namespace}/agentobservations/{NAME}",
        content=json.dumps({"spec": {"suspend": True}, "status": None}),
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert answer.is_success
    assert answer.json()["status"]["usage"]["totalTokens"] == 724
    assert answer.json()["metadata"]["generation"] == 2
