"""The control plane works with nothing but what the chart gives it: settings, Secrets, volumes.

The pod is played by a process of this machine: each volume is a directory with what the kubelet
would put there, and the settings lead to those directories.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.chart.releases import NAMESPACE, Releases
from tests.integration.chart.rendering import environment
from tests.integration.controlplane.senders import Sender, flush
from tests.integration.controlplane.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.helm]

NAME = "usage-agentspec-usage-controlplane"
PROGRAM = (sys.executable, "-m", "agentspec_usage.cli.main")
PRICES = """\
currency: USD
entries:
- match: {provider: openai, model: "gpt-?"}
  tiers: [{input: 1, output: 2}]
"""
VALUES = {"priceBook": PRICES, "controlPlane": {"enabled": True, "checkpointInterval": 3600}}


class Pod:
    """The installed Deployment's pod on this machine, its volumes below ``directory``."""

    def __init__(self, releases: Releases, directory: Path) -> None:
        self._releases = releases
        deployment = self._get("deployment", NAME)
        pod = deployment["spec"]["template"]["spec"]
        (self._container,) = pod["containers"]
        self._mounts: dict[str, Path] = {
            mount["mountPath"]: directory / mount["name"]
            for mount in self._container["volumeMounts"]
        }
        for volume in pod["volumes"]:
            self._fill(directory / volume["name"], volume)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        # The kubelet would put the account's token and the API server's address into the pod.
        self._kubeconfig = releases.cluster.service_account_kubeconfig(
            NAMESPACE, pod["serviceAccountName"], directory / "kubeconfig"
        )
        self._variables = environment(deployment) | {
            "AGENTSPEC_CONTROLPLANE_ADDRESS": "127.0.0.1",
            "AGENTSPEC_CONTROLPLANE_PORT": str(port),
        }
        self.log = directory / "log"

    def path(self, variable: str) -> Path:
        """Where a file that the pod is told about lies here."""
        said = Path(self._variables[f"AGENTSPEC_CONTROLPLANE_{variable}"] or "")
        return self._mounts[str(said.parent)] / said.name

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The container's command, ready; ended with the test when the test did not."""
        variables = {
            name: str(self.path(name.removeprefix("AGENTSPEC_CONTROLPLANE_")))
            if value and value.startswith("/")
            else value or ""
            for name, value in self._variables.items()
        }
        variables["AGENTSPEC_CONTROLPLANE_KUBECONFIG"] = str(self._kubeconfig)
        command = [*PROGRAM, *self._container["args"]]
        with (
            self.log.open("ab") as output,
            subprocess.Popen(command, env=variables, stderr=output) as process,
        ):
            try:
                until(lambda: self._is_ready(process), "the control plane is ready")
                yield process
            finally:
                process.kill()

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.log.read_text()
        probe = self._container["readinessProbe"]["httpGet"]["path"]
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}{probe}").is_success
        return False

    def _fill(self, directory: Path, volume: Mapping[str, Any]) -> None:
        directory.mkdir()
        if "secret" in volume:
            data = self._get("secret", volume["secret"]["secretName"])["data"]
            for item in volume["secret"]["items"]:
                file = directory / item["path"]
                file.write_bytes(b64decode(data[item["key"]]))
                file.chmod(volume["secret"]["defaultMode"])
        elif "configMap" in volume:
            for key, text in self._get("configmap", volume["configMap"]["name"])["data"].items():
                (directory / key).write_text(text)

    def _get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self._releases.cluster.kubectl("-n", NAMESPACE, "get", kind, name, "-o", "json")
        )
        return found


@pytest.fixture
def notes(control_planes: Releases, tmp_path: Path) -> str:
    """What helm says about the release, which is installed."""
    values = tmp_path / "values.json"
    values.write_text(json.dumps(VALUES))
    return control_planes.install("usage", f"--values={values}")


def ask_as_told(releases: Releases, notes: str, kind: str, name: str) -> str:
    """The answer to the command by which the notes have ``kind`` ``name`` read."""
    (line,) = [line for line in notes.splitlines() if f"get {kind} {name}" in line]
    _, _, rest = line.partition("go-template='")
    template, _, _ = rest.partition("'")
    return releases.cluster.kubectl(
        "-n", NAMESPACE, "get", kind, name, "-o", f"go-template={template}"
    )


def test_it_registers_stores_charges_and_signs_as_the_notes_say(
    releases: Releases, notes: str, tmp_path: Path
) -> None:
    admin = {"X-Admin-Key": ask_as_told(releases, notes, "secret", f"{NAME}-admin")}
    public = tmp_path / "public.pem"
    public.write_text(ask_as_told(releases, notes, "configmap", f"{NAME}-signing"))
    pod = Pod(releases, tmp_path)
    with pod.running() as process:
        registered = httpx.post(
            f"{pod.url}/api/v1/register",
            json={"agentName": "my-agent", "namespace": "default", "runtime": "k8s"},
            headers=admin,
        ).raise_for_status()
        sender = Sender(pod.url, registered.json()["apiKey"], seed=1)
        sender.call(5)
        flush([sender])
        totals = httpx.get(f"{pod.url}/api/v1/usage", headers=admin).raise_for_status().json()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, pod.log.read_text()

    used = sender.truth
    assert totals["totalTokens"] == used.input + used.output
    assert Decimal(totals["totalCost"]) == Decimal(used.input + 2 * used.output) / 1_000_000
    verified = subprocess.run(
        [*PROGRAM, "verify", f"--database={pod.path('DATABASE')}", f"--public-key={public}",
         f"--checkpoint={pod.path('CHECKPOINT_FILE')}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "5 rows" in verified.stdout
    assert verified.stdout.endswith("1 signed heads\nok\n")
    kept = releases.cluster.kubectl(
        *("-n", NAMESPACE, "get", "configmap", "agentspec-usage-ledger"),
        "-o=jsonpath={.data.checkpoints}",
    )
    assert kept == pod.path("CHECKPOINT_FILE").read_text(), "with the rights of its account"


def test_an_agent_that_pushes_is_shown_with_the_rights_of_its_account(
    control_planes: Releases, tmp_path: Path
) -> None:
    releases = control_planes
    releases.apply_definition()
    releases.install("usage", "--set=controlPlane.enabled=true,controlPlane.remoteInterval=1")
    pod = Pod(releases, tmp_path)
    admin = {"X-Admin-Key": pod.path("ADMIN_KEY_FILE").read_text()}

    def listed() -> str:
        return releases.cluster.kubectl(
            *("-n", "agentspec-remote", "get", "ao", "research", "--ignore-not-found"),
            "-o=jsonpath={.status.phase}",
        )

    with pod.running():
        registered = httpx.post(
            f"{pod.url}/api/v1/register",
            json={"agentName": "research", "runtime": "docker"},
            headers=admin,
        ).raise_for_status()
        httpx.post(
            f"{pod.url}/api/v1/heartbeat",
            json={"health": {"status": "healthy"}, "gap": {}},
            headers={"Authorization": f"Bearer {registered.json()['apiKey']}"},
        ).raise_for_status()
        until(lambda: listed() == "Healthy", "the agent is shown")
