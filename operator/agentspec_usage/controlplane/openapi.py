"""The OpenAPI document, made from the operations and their models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from agentspec_usage import __version__
from agentspec_usage.controlplane.operations import Answer, Credential, Operation
from agentspec_usage.controlplane.shapes import Problem
from agentspec_usage.serving.problems import PROBLEM_TYPE

__all__ = ["openapi_document"]

_Key = tuple[type[BaseModel], JsonSchemaMode]


def openapi_document(operations: Sequence[Operation]) -> dict[str, Any]:
    """OpenAPI 3.1, whose schemas are JSON Schema as pydantic writes it."""
    references, definitions = models_json_schema(
        _models(operations), by_alias=True, ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = operation.path.replace(":path}", "}")
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "agentspec-usage control plane", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {
                str(Credential.ADMIN): {"type": "apiKey", "in": "header", "name": "X-Admin-Key"},
                str(Credential.AGENT): {"type": "http", "scheme": "bearer"},
                str(Credential.OPERATOR): {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _models(operations: Sequence[Operation]) -> list[_Key]:
    found: dict[_Key, None] = {(Problem, "serialization"): None}
    for operation in operations:
        if operation.body is not None:
            found[operation.body, "validation"] = None
        for answer in operation.answers.values():
            if answer.model is not None:
                found[answer.model, "serialization"] = None
    return list(found)


def _operation(operation: Operation, references: Any) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {
            **{
                str(int(status)): _answer(answer, references)
                for status, answer in operation.answers.items()
            },
            **{
                str(int(status)): {
                    "description": status.phrase,
                    "content": {PROBLEM_TYPE: {"schema": references[Problem, "serialization"]}},
                }
                for status in operation.problems
            },
        },
    }
    if parameters := _parameters(operation):
        described["parameters"] = parameters
    if operation.credential:
        described["security"] = [{scheme: []} for scheme in operation.credential.split()]
    if operation.body is not None:
        schema = references[operation.body, "validation"]
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)(?::path)?\}", operation.path)
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]
    if operation.parameters is not None:
        for name, schema in operation.parameters.model_json_schema()["properties"].items():
            # What the path says cannot be asked again.
            if not any(name.removesuffix("_id") in ("agent" if n == "id" else n) for n in names):
                description = schema.pop("description", "")
                found.append(
                    {"name": name, "in": "query", "description": description, "schema": schema}
                )
    elif "name" in names:
        found.append({"name": "namespace", "in": "query", "schema": {"type": "string"}})
    return found


def _answer(answer: Answer, references: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.meaning}
    if answer.model is not None:
        schema = references[answer.model, "serialization"]
        if answer.many:
            schema = {"type": "array", "items": schema}
        described["content"] = {answer.media_type: {"schema": schema}}
    return described
