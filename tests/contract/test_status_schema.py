"""What the definition's schema takes for a status, and what it refuses, without an API server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from agentspec_usage.metering.completeness import Completeness, Reason
from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.wire.observation import AgentRefKind, ObservationSpec
from tests.contract.crd_schema import (
    definition,
    observation_schema,
    status_faults,
    validate_status,
)
from tests.contract.statuses import condition, largest_status, model, status_with, usage


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field below ``schema``: its path and its own schema."""
    for name, below in schema.get("properties", {}).items():
        yield f"{path}.{name}", below
        yield from fields(below, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield path + suffix, schema[key]
            yield from fields(schema[key], path + suffix)


FIELDS = dict(fields(observation_schema()))


def bounded(schema: dict[str, Any]) -> bool:
    match schema["type"]:
        case "string":
            return "enum" in schema or "maxLength" in schema
        case "array":
            return "maxItems" in schema and "x-kubernetes-list-type" in schema
        case "integer":
            # A generation is the API server's own number and has its bound in its format.
            return "minimum" in schema and ("maximum" in schema or schema["format"] == "int64")
        case "object":
            return "properties" in schema or "maxProperties" in schema
        case "boolean":
            return True
        case _:
            return False


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_is_described_and_bounded(path: str) -> None:
    schema = FIELDS[path]
    assert schema["description"].endswith("."), "a sentence"
    assert "\n" not in schema["description"], "kubectl explain breaks lines itself"
    assert bounded(schema)
    assert "x-kubernetes-preserve-unknown-fields" not in schema


def test_the_closed_lists_are_those_of_the_code() -> None:
    usage_at = ".status.usage"
    assert FIELDS[f"{usage_at}.reasons[]"]["enum"] == [reason.value for reason in Reason]
    assert FIELDS[f"{usage_at}.completeness"]["enum"] == [each.value for each in Completeness]
    assert FIELDS[f"{usage_at}.totalTokens"]["maximum"] == MAX_COUNT
    assert FIELDS[".spec.agentRef.kind"]["enum"] == [kind.value for kind in AgentRefKind]


@pytest.mark.parametrize("path", [path for path in FIELDS if "default" in FIELDS[path]])
def test_a_default_is_the_one_that_the_operator_assumes(path: str) -> None:
    read = TypeAdapter(ObservationSpec).json_schema()["properties"]
    assert read[path.removeprefix(".spec.")]["default"] == FIELDS[path]["default"]


def test_the_operator_reads_every_field_of_the_spec_and_no_other() -> None:
    read = TypeAdapter(ObservationSpec).json_schema()["properties"]
    assert set(read) == set(observation_schema()["properties"]["spec"]["properties"])


def test_helm_never_deletes_the_definition() -> None:
    assert definition()["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="nothing yet"),
        pytest.param(status_with(), id="only what is required"),
        pytest.param(largest_status(), id="everything, at its bound"),
        pytest.param(
            status_with(models=[model("gpt-4o", "openai"), model("gpt-4o", "azure")]),
            id="one model name on two providers",
        ),
        pytest.param(status_with(models=[model("qwen", provider="")]), id="provider not known"),
    ],
)
def test_a_status_fits(status: dict[str, Any]) -> None:
    validate_status(status)


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        pytest.param({"usage": {}}, "is a required property", id="required"),
        pytest.param(status_with(price="1.00"), "'price' was unexpected", id="unknown field"),
        pytest.param(
            status_with(totalTokens=MAX_COUNT + 1), "$.usage.totalTokens", id="above 2^53-1"
        ),
        pytest.param(status_with(totalTokens=-1), "$.usage.totalTokens", id="negative"),
        pytest.param(status_with(totalTokens=1.5), "$.usage.totalTokens", id="a fraction"),
        pytest.param(status_with(totalTokens=True), "$.usage.totalTokens", id="a bool"),
        pytest.param(status_with(source=None), "$.usage.source", id="null"),
        pytest.param(status_with(coverage="99.95%"), "$.usage.coverage", id="two decimals"),
        pytest.param(status_with(coverage="101%"), "$.usage.coverage", id="more than all"),
        pytest.param(status_with(reasons=["Because"]), "$.usage.reasons[0]", id="unknown reason"),
        pytest.param(status_with(reasons=["Unpriced"] * 2), "$.usage.reasons", id="reason twice"),
        pytest.param(
            status_with(models=[model("a")] * 2), "two items with provider", id="model twice"
        ),
        pytest.param(
            status_with(models=[model(str(n)) for n in range(23)]), "$.usage.models", id="23 models"
        ),
        pytest.param(
            status_with(models=[model("m" * 129)]), "$.usage.models[0].modelId", id="long name"
        ),
        pytest.param(status_with(lastUpdateTime="now"), "$.usage.lastUpdateTime", id="not a time"),
        pytest.param(
            status_with(lastUpdateTime="2026-11-22T12:00:00"),
            "$.usage.lastUpdateTime",
            id="a time without a zone",
        ),
        pytest.param(
            {"conditions": [condition("Ready", "True", "Metered")] * 2},
            "two items with type",
            id="condition twice",
        ),
        pytest.param(
            {"conditions": [condition("Ready", "True", "not one word")]},
            "$.conditions[0].reason",
            id="reason of words",
        ),
        pytest.param(
            status_with(cost={"status": "Estimated", "amount": "1e-3", "currency": "USD"}),
            "$.usage.cost.amount",
            id="an amount with an exponent",
        ),
        pytest.param({"writerState": "w" * 8193}, "$.writerState", id="notes too long"),
        pytest.param({"usage": usage(), "phase": "Fine"}, "$.phase", id="unknown phase"),
    ],
)
def test_a_status_is_refused(status: dict[str, Any], fault: str) -> None:
    faults = status_faults(status)
    assert faults
    assert all(fault in line for line in faults), faults
