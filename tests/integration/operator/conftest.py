"""The operator's surroundings: the definition, its rights, agents, and namespaces to watch."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from agentspec_usage.devcluster import Cluster
from tests.contract.crd_schema import ROOT
from tests.fakes.agents import Network
from tests.integration.operator.processes import Operator, running
from tests.integration.operator.team import Team

__all__ = [
    "account",
    "admin",
    "crew",
    "flags",
    "installed",
    "kubeconfig",
    "logs",
    "network",
    "operator",
    "team",
    "teams",
    "watching",
]

SYSTEM = "agentspec-system"


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Cluster:
    """The cluster with the definition and with what ``charts/install.yaml`` brings."""
    cluster.kubectl("apply", "-f", str(ROOT / "crds"))
    cluster.kubectl(
        "wait", "--for=condition=Established", "crd/agentobservations.agentspec.io", "--timeout=20s"
    )
    cluster.kubectl("apply", "-f", str(ROOT / "charts" / "install.yaml"))
    return cluster


@pytest.fixture(scope="session")
def account(installed: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig that acts as the operator's ServiceAccount."""
    path = tmp_path_factory.mktemp("account") / "kubeconfig"
    return installed.service_account_kubeconfig(SYSTEM, "agentspec-usage", path)


@pytest.fixture(scope="module")
def admin(installed: Cluster) -> Iterator[httpx.Client]:
    with installed.client() as client:
        yield client


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def teams(installed: Cluster, admin: httpx.Client, network: Network) -> Callable[[], Team]:
    """Makes a team with a namespace of its own."""

    def make() -> Team:
        name = f"team-{secrets.token_hex(4)}"
        installed.ensure_namespace(name)
        return Team(admin, name, network)

    return make


@pytest.fixture(scope="module")
def crew(teams: Callable[[], Team]) -> Team:
    """A team that the tests of one module share."""
    return teams()


@pytest.fixture(scope="module")
def kubeconfig(account: Path) -> Path:
    """By which way the module's operator reaches the API server; a module may have its own."""
    return account


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    """What else the module's operator is told; a module may have its own."""
    return ()


@pytest.fixture(scope="module")
def watching(
    crew: Team, kubeconfig: Path, flags: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """One operator for all tests of a module, which watches the crew's namespace."""
    log = tmp_path_factory.mktemp("watching") / "operator.log"
    arguments = ("--no-leader-elect", f"--namespaces={crew.namespace}", *flags)
    with running(kubeconfig, log, *arguments) as operator:
        yield operator.wait_until_ready()


@pytest.fixture
def team(teams: Callable[[], Team]) -> Team:
    """A team that no other test knows."""
    return teams()


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Path]:
    """Files for the logs of one test's operators."""
    return (tmp_path / f"operator-{number}.log" for number in itertools.count())


@pytest.fixture
def operator(account: Path, team: Team, tmp_path: Path) -> Iterator[Operator]:
    """An operator of the test's own, which watches the team's namespace."""
    log = tmp_path / "operator.log"
    with running(account, log, "--no-leader-elect", f"--namespaces={team.namespace}") as operator:
        yield operator.wait_until_ready()
