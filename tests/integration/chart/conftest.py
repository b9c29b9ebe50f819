"""A cluster of this directory's own: its tests remove the definition, and with it every object."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentspec_usage.devcluster import Binaries, Cluster, Options, up
from tests.integration.chart.releases import CRD, Releases

__all__ = ["bare", "chart_cluster", "control_planes", "releases"]


@pytest.fixture(scope="session")
def chart_cluster(
    binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A cluster that nobody else uses."""
    directory = tmp_path_factory.mktemp("chart-cluster") / "main"
    running = up(directory, binaries, name="chart", options=Options(durable=False, tied=True))
    try:
        yield running
    finally:
        running.down()


@pytest.fixture
def bare(chart_cluster: Cluster) -> Cluster:
    """The cluster without the definition of AgentObservation."""
    chart_cluster.kubectl("delete", "crd", CRD, "--ignore-not-found", "--timeout=30s")
    return chart_cluster


@pytest.fixture
def releases(chart_cluster: Cluster) -> Iterator[Releases]:
    """Releases of the chart; what a test leaves installed is removed."""
    releases = Releases(chart_cluster)
    yield releases
    releases.uninstall_all()


@pytest.fixture
def control_planes(releases: Releases) -> Iterator[Releases]:
    """Releases with a control plane; the keys and claims that outlive them are removed too."""
    yield releases
    releases.remove_kept()
