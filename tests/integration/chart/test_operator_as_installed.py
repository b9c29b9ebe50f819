"""The operator does its work with nothing but what the chart gives it: account and settings."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from agentspec_usage.wire.writer_state_seal import SealKey
from tests.integration.chart.releases import NAMESPACE, Releases

pytestmark = [pytest.mark.cluster, pytest.mark.helm]

NAME = "usage-agentspec-usage"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def settings_of_the_deployment(releases: Releases) -> dict[str, str]:
    """The environment that the kubelet would give to a pod of the installed Deployment."""
    deployment = json.loads(
        releases.cluster.kubectl("-n", NAMESPACE, "get", "deployment", NAME, "-o", "json")
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    of_the_pod = {"metadata.name": f"{NAME}-0", "metadata.namespace": NAMESPACE}
    return {
        entry["name"]: of_the_pod[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        if "valueFrom" in entry
        else entry.get("value", "")
        for entry in container["env"]
    }


def seal_key(releases: Releases) -> bytes:
    """What the kubelet would put into the file of the installed Deployment's Secret."""
    data = releases.cluster.kubectl(
        "-n", NAMESPACE, "get", "secret", f"{NAME}-seal", "-o", "jsonpath={.data.key}"
    )
    return b64decode(data)


@contextmanager
def running(environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The operator as a process; ended with it when the test did not."""
    command = [sys.executable, "-m", "agentspec_usage.cli.main", "operator"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=dict(environment), stderr=output) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="whole cluster"),
        pytest.param(["--set=watchNamespaces={team-a}"], id="one namespace"),
    ],
)
def test_it_leads_reads_and_writes_and_is_never_refused(
    releases: Releases, tmp_path: Path, arguments: list[str]
) -> None:
    releases.apply_definition()
    releases.install("usage", *arguments)
    releases.cluster.kubectl("delete", "ao", "--all", "--all-namespaces")
    releases.create_object()
    kubeconfig = releases.cluster.service_account_kubeconfig(NAMESPACE, NAME, tmp_path / "config")
    key = tmp_path / "seal-key"
    key.write_bytes(seal_key(releases))
    url = f"http://127.0.0.1:{free_port()}"
    environment = settings_of_the_deployment(releases) | {
        "AGENTSPEC_OPERATOR_KUBECONFIG": str(kubeconfig),
        "AGENTSPEC_OPERATOR_SEAL_KEY_FILE": str(key),
        "AGENTSPEC_OPERATOR_HEALTH_ADDRESS": "127.0.0.1",
        "AGENTSPEC_OPERATOR_HEALTH_PORT": url.rpartition(":")[2],
    }
    log = tmp_path / "log"
    with running(environment, log) as operator:
        # No pods carry its name, so every kind that an agentRef may name is looked up.
        releases.cluster.kubectl(
            "-n", "team-a", "wait", "--for=condition=UsageAvailable=False", "ao/support-bot",
            "--timeout=30s",
        )  # fmt: skip
        with httpx.Client(trust_env=False) as client:
            while client.get(f"{url}/readyz").status_code != HTTPStatus.OK:
                assert operator.poll() is None, log.read_text()
                time.sleep(0.1)
            metrics = client.get(f"{url}/metrics").text
        operator.send_signal(signal.SIGTERM)
        assert operator.wait(timeout=30) == 0, log.read_text()

    assert 'code="403"' not in metrics
    assert "orbidden" not in log.read_text()
    lease = json.loads(
        releases.cluster.kubectl("-n", NAMESPACE, "get", "lease", f"{NAME}-operator", "-o", "json")
    )
    assert not lease["spec"].get("holderIdentity"), "released"
    key_id = SealKey.of(key.read_text()).id
    assert lease["metadata"]["annotations"]["agentspec.io/sealed-since"].startswith(f"{key_id}/")
    notes = releases.cluster.kubectl(
        "-n", "team-a", "get", "ao", "support-bot", "-o", "jsonpath={.status.writerState}"
    )
    assert f".{key_id}." in notes
