"""The definition, applied to the session's API server, and a namespace to try it in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentspec_usage.devcluster import Cluster
from tests.contract.crd_schema import ROOT
from tests.integration.crd.observations import Observations

__all__ = ["defined", "observations"]


@pytest.fixture(scope="session")
def defined(cluster: Cluster) -> Cluster:
    """The cluster, serving AgentObservations."""
    cluster.kubectl("apply", "-f", str(ROOT / "crds"))
    cluster.kubectl(
        "wait", "--for=condition=Established", "crd/agentobservations.agentspec.io", "--timeout=20s"
    )
    return cluster


@pytest.fixture
def observations(defined: Cluster, namespace: str) -> Iterator[Observations]:
    with defined.client() as client:
        yield Observations(client, namespace)
