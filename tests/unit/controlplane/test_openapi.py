"""The OpenAPI document says what is served."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentspec_usage.controlplane.shapes import HeartbeatAnswerBody, RecordsAnswerBody
from agentspec_usage.wire.records_answer import (
    HeartbeatAnswer,
    RecordsAnswer,
    encode_heartbeat_answer,
    encode_records_answer,
)
from tests.unit.controlplane.planes import Plane
from tests.unit.store.values import INSTANCE


async def document_of(plane: Plane) -> dict[str, Any]:
    return dict((await plane.http.get("http://plane/openapi.json")).json())


async def test_every_operation_is_described_with_its_body_and_its_credential(plane: Plane) -> None:
    paths = (await document_of(plane))["paths"]
    described = {
        (method, path): " ".join(key for one in operation.get("security", []) for key in one)
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    assert described == {
        ("post", "/api/v1/register"): "adminKey",
        ("get", "/api/v1/agents"): "adminKey",
        ("delete", "/api/v1/agents/{name}"): "adminKey",
        ("get", "/api/v1/agents/{name}/health"): "adminKey",
        ("get", "/api/v1/agents/{name}/gap"): "adminKey",
        ("get", "/api/v1/agents/{name}/proof"): "adminKey",
        ("get", "/api/v1/agents/{name}/usage"): "adminKey",
        ("post", "/api/v1/heartbeat"): "apiKey",
        ("post", "/api/v1/usage/records"): "apiKey",
        ("post", "/api/v1/usage/observed"): "operator",
        ("get", "/api/v1/usage"): "adminKey apiKey",
        ("get", "/api/v1/usage/agents/{id}"): "adminKey apiKey",
        ("get", "/api/v1/usage/models/{model}"): "adminKey apiKey",
        ("get", "/api/v1/usage/billing"): "adminKey apiKey",
        ("get", "/api/v1/usage/daily"): "adminKey apiKey",
        ("get", "/api/v1/usage/history"): "adminKey apiKey",
        ("post", "/api/v1/usage/periods"): "adminKey",
        ("get", "/api/v1/usage/periods"): "adminKey",
        ("get", "/api/v1/usage/statement"): "adminKey",
        ("post", "/api/v1/usage/reprice"): "adminKey",
        ("get", "/api/v1/usage/verify"): "adminKey",
        ("post", "/api/v1/usage/events"): "apiKey",
        ("get", "/api/v1/usage/events"): "adminKey",
        ("get", "/api/v1/usage/batches/{id}"): "adminKey apiKey",
        ("get", "/api/v1/usage/focus"): "adminKey apiKey",
        ("get", "/api/v1/usage/focus/unpriced"): "adminKey apiKey",
        ("get", "/api/v1/usage/focus/schema"): "",
        ("get", "/health/live"): "",
        ("get", "/health/ready"): "",
        ("get", "/metrics"): "",
    }
    for path in ("/api/v1/register", "/api/v1/heartbeat", "/api/v1/usage/records"):
        assert paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]


async def test_every_parameter_of_a_query_is_described(plane: Plane) -> None:
    paths = (await document_of(plane))["paths"]
    described = {
        path: [(each["name"], each["in"]) for each in paths[path]["get"]["parameters"]]
        for path in ("/api/v1/usage/agents/{id}", "/api/v1/usage/history")
    }
    assert described["/api/v1/usage/agents/{id}"] == [
        ("id", "path"),
        ("org_id", "query"),
        ("model", "query"),
    ]
    assert ("cursor", "query") in described["/api/v1/usage/history"]
    assert all(
        each["description"]
        for each in paths["/api/v1/usage/history"]["get"]["parameters"]
        if each["in"] == "query"
    )


async def test_every_reference_leads_to_a_schema(plane: Plane) -> None:
    document = await document_of(plane)
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    references = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert references
    assert references <= set(schemas)


async def test_fields_are_named_as_on_the_wire(plane: Plane) -> None:
    schemas = (await document_of(plane))["components"]["schemas"]
    assert {"agentName", "runtime", "namespace", "manifest"} <= set(
        schemas["RegisterBody"]["properties"]
    )
    assert {"instanceId", "since", "last", "totals", "items"} <= set(
        schemas["FrameBody"]["properties"]
    )


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/openapi.json"])
async def test_what_needs_no_key_is_served_without_one(plane: Plane, path: str) -> None:
    assert (await plane.http.get(f"http://plane{path}")).status_code == 200


def test_answers_are_encoded_as_the_document_says() -> None:
    records = encode_records_answer(RecordsAnswer({INSTANCE: 3}, {INSTANCE: 1}))
    assert RecordsAnswerBody.model_validate_json(records).durable[0].seq == 3
    heartbeat = encode_heartbeat_answer(HeartbeatAnswer(3, "/x"))
    assert HeartbeatAnswerBody.model_validate_json(heartbeat).records == "/x"
