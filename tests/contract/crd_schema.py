"""The CRD's own schema as a check of dicts, for tests without an API server.

The server drops unknown fields without a word; here they are errors, because a program that writes
them is wrong. The rules in CEL are not here: those are tested on a real server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend

__all__ = ["ROOT", "definition", "observation_schema", "status_faults", "validate_status"]

ROOT = Path(__file__).resolve().parents[2]

_formats = FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def _unique_by_keys(
    _validator: object, keys: list[str], items: object, _schema: object
) -> Iterator[ValidationError]:
    if not isinstance(items, list):
        return
    seen: set[tuple[object, ...]] = set()
    for item in items:
        if not isinstance(item, Mapping):
            continue
        identity = tuple(item.get(key) for key in keys)
        if identity in seen:
            yield ValidationError(f"two items with {', '.join(keys)} = {identity}")
        seen.add(identity)


_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"x-kubernetes-list-map-keys": _unique_by_keys}
)


@cache
def definition() -> dict[str, Any]:
    """``crds/agentobservations.yaml``, read."""
    text = (ROOT / "crds" / "agentobservations.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def observation_schema() -> dict[str, Any]:
    """The OpenAPI schema of the one version."""
    (version,) = definition()["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def status_faults(status: Mapping[str, Any]) -> list[str]:
    """What the schema of ``status`` says against ``status``, one line a fault, sorted."""
    validator = _Validator(
        _strict(observation_schema()["properties"]["status"]), format_checker=_formats
    )
    return sorted(f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(status))


def validate_status(status: Mapping[str, Any]) -> None:
    """AssertionError naming every field of ``status`` that the API server would refuse or drop."""
    faults = status_faults(status)
    assert not faults, "\n".join(faults)


def _strict(schema: Any) -> Any:
    """``schema`` as JSON Schema: unknown fields refused, sets unique."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(part) for key, part in schema.items()}
    if strict.get("type") == "object" and "additionalProperties" not in strict:
        strict["additionalProperties"] = False
    if strict.get("x-kubernetes-list-type") == "set":
        strict["uniqueItems"] = True
    return strict
