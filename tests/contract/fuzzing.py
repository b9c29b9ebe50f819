"""The control plane's operations for fuzzing: who may ask, and what there is to be found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation

from tests.contract.planes import OPERATOR, open_control_plane
from tests.contract.tenants import Tenant, register
from tests.integration.controlplane.processes import ADMIN, ControlPlane

__all__ = ["EXAMPLES", "Fuzzed", "Operation", "fuzzed_control_plane"]

Operation = APIOperation[Any, Any, Any, Any]

EXAMPLES = 400 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 12
"""Requests of each kind to each operation."""


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """A control plane with a tenant whose calls can be found."""

    plane: ControlPlane
    schema: Any
    session: requests.Session
    tenant: Tenant

    def operations(self) -> Sequence[Operation]:
        """Every operation that the document describes."""
        return [result.ok() for result in self.schema.get_all_operations()]

    def headers(self, operation: Operation) -> Mapping[str, str]:
        """A credential that the operation takes."""
        shown = {"adminKey": ADMIN, "apiKey": self.tenant.headers, "operator": OPERATOR}
        taken = [scheme for one in _described(operation).get("security", []) for scheme in one]
        return shown[taken[0]] if taken else {}

    def cases(self, operation: Operation, mode: GenerationMode) -> st.SearchStrategy[Any]:
        """Requests to the operation, some of them about what is there."""
        anything = operation.as_strategy(generation_mode=mode)
        names = {each["name"] for each in _described(operation).get("parameters", [])}
        known = {
            "name": self.tenant.name,
            "id": f"{self.tenant.namespace}/{self.tenant.name}",
            "model": self.tenant.series.model,
        }
        in_path = {name: known[name] for name in known.keys() & names if name in operation.path}
        # What is revoked is not asked again.
        if not in_path or operation.method == "delete":
            return anything
        return st.one_of(
            anything, operation.as_strategy(generation_mode=mode, path_parameters=in_path)
        )


def _described(operation: Operation) -> Mapping[str, Any]:
    described: Mapping[str, Any] = operation.definition.raw
    return described


@contextmanager
def fuzzed_control_plane(directory: Path) -> Iterator[Fuzzed]:
    """A control plane that takes whatever comes, until the end of the block."""
    with open_control_plane(directory) as plane, requests.Session() as session:
        session.trust_env = False
        with httpx.Client(base_url=plane.url, timeout=10) as client:
            tenant = register(client, "red", "web", 1000)
            tenant.report(client)
        schema = schemathesis.openapi.from_url(f"{plane.url}/openapi.json")
        # Who is let in is tested with every role; here the credential is always right.
        schema.config.generation.update(with_security_parameters=False)
        yield Fuzzed(plane, schema, session, tenant)
