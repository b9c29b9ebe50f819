"""What the control plane says of itself: its operations, read from the OpenAPI document.

The document is made from the one table that the routes are made from, so an operation that is added
there is in every test that asks for them here, without anybody's doing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.integration.controlplane.processes import ControlPlane

__all__ = ["DescribedOperation", "described_operations"]


@dataclass(frozen=True, slots=True)
class DescribedOperation:
    """An operation. ``schemes`` are the credentials of which one will do; none: open to all."""

    name: str
    method: str
    path: str
    schemes: frozenset[str]
    in_path: tuple[str, ...]
    in_query: tuple[str, ...]
    has_body: bool

    def url(self, values: Mapping[str, str]) -> str:
        """The path with ``values`` in it."""
        return self.path.format_map(values)


def described_operations(plane: ControlPlane) -> tuple[DescribedOperation, ...]:
    """Every operation of the running control plane."""
    document = plane.get("/openapi.json").json()
    return tuple(
        _operation(method.upper(), path, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    )


def _operation(method: str, path: str, described: Mapping[str, Any]) -> DescribedOperation:
    parameters = described.get("parameters", [])
    return DescribedOperation(
        described["operationId"],
        method,
        path,
        frozenset(scheme for one in described.get("security", []) for scheme in one),
        tuple(each["name"] for each in parameters if each["in"] == "path"),
        tuple(each["name"] for each in parameters if each["in"] == "query"),
        "requestBody" in described,
    )
