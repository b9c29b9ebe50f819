"""AgentObservations of one namespace, written the way the operator writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

__all__ = ["Observations", "causes"]


@dataclass(frozen=True, slots=True)
class Observations:
    """The objects of ``namespace``; answers are httpx's, refusals included."""

    client: httpx.Client
    namespace: str

    def create(self, name: str, **spec: Any) -> httpx.Response:
        """POST; without ``spec`` the least that is valid."""
        body = {
            "apiVersion": "agentspec.io/v1",
            "kind": "AgentObservation",
            "metadata": {"name": name},
            "spec": {"agentRef": {"name": name}} | spec,
        }
        return self.client.post(self._path(), json=body)

    def get(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(self._path(name)).raise_for_status().json()
        return found

    def write_status(self, name: str, status: Mapping[str, Any]) -> httpx.Response:
        """The operator's JSON patch: the object, as read just now, gets this whole status."""
        metadata = self.get(name)["metadata"]
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
            {
                "op": "replace",
                "path": "/metadata/resourceVersion",
                "value": metadata["resourceVersion"],
            },
            {"op": "add", "path": "/status", "value": status},
        ]
        return self.patch_status(name, patch)

    def patch_status(self, name: str, patch: list[dict[str, Any]]) -> httpx.Response:
        return self.client.patch(
            f"{self._path(name)}/status",
            content=json.dumps(patch),
            headers={"Content-Type": "application/json-patch+json"},
        )

    def _path(self, name: str = "") -> str:
        return f"/apis/agentspec.io/v1/namespaces/{self.namespace}/agentobservations/{name}".rstrip(
            "/"
        )


def causes(answer: httpx.Response) -> dict[str, str]:
    """Why a write was refused: the fields with their messages."""
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text
    details = answer.json()["details"]
    return {cause.get("field", ""): cause["message"] for cause in details.get("causes", ())}
