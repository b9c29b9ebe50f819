"""Access comes from a kubeconfig that was named or from the pod's account, from nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentspec_usage.errors import SettingsError
from agentspec_usage.kube.access import connect

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443/"}}]
users: [{name: u, user: {tokenFile: token}}]
contexts: [{name: here, context: {cluster: c, user: u}}]
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    (tmp_path / "token").write_text("first\n")
    return path


def rotate(kubeconfig: Path, token: str) -> None:
    (kubeconfig.parent / "token").write_text(token)


async def test_a_kubeconfig_says_where_the_server_is_and_who_we_are(kubeconfig: Path) -> None:
    access = await connect(kubeconfig)

    assert access.server == "https://127.0.0.1:6443"
    assert await access.authorization() == "Bearer first"


async def test_renewed_credentials_are_read_from_the_file_again(kubeconfig: Path) -> None:
    access = await connect(kubeconfig)
    rotate(kubeconfig, "second")
    await access.renew()

    assert await access.authorization() == "Bearer second"


def test_reading_a_kubeconfig_never_writes_it(kubeconfig: Path) -> None:
    before = kubeconfig.stat().st_mtime_ns
    asyncio.run(connect(kubeconfig))

    assert kubeconfig.stat().st_mtime_ns == before
    assert kubeconfig.read_text() == KUBECONFIG


async def test_a_kubeconfig_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere: expected a file"):
        await connect(tmp_path / "nowhere")


def test_a_kubeconfig_without_its_context_is_named(kubeconfig: Path) -> None:
    kubeconfig.write_text(KUBECONFIG.replace("current-context: here", "current-context: there"))

    with pytest.raises(SettingsError, match="config: "):
        asyncio.run(connect(kubeconfig))


async def test_outside_a_pod_a_kubeconfig_in_the_environment_is_not_used(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(SettingsError, match="not inside a Kubernetes pod"):
        await connect(None)
