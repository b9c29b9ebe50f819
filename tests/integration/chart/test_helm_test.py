"""`helm test`: its pods are made, and what they run tells a ready program from one that is not."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus

import pytest
import yaml

from agentspec_usage.devcluster import Cluster, CommandError
from tests.integration.chart.releases import CHART, NAMESPACE, Releases

pytestmark = [pytest.mark.cluster, pytest.mark.helm]


OPERATOR = ("operator-ready.yaml", "OPERATOR_URL", "leader_election_master_status 1")
CONTROL_PLANE = ("controlplane-ready.yaml", "CONTROL_PLANE_URL", "agentspec_store_commits_total 1")


@pytest.fixture(
    params=[pytest.param(OPERATOR, id="operator"), pytest.param(CONTROL_PLANE, id="controlplane")]
)
def asked(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """The pod's template, the variable with the program's address, a metric that it has."""
    template, variable, metric = request.param
    return template, variable, metric


@pytest.fixture(params=[pytest.param(True, id="its own"), pytest.param(False, id="others")])
def metrics(request: pytest.FixtureRequest, asked: tuple[str, str, str]) -> str:
    return asked[2] if request.param else "go_goroutines 8"


@pytest.fixture(params=[HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE])
def readiness(request: pytest.FixtureRequest) -> HTTPStatus:
    return HTTPStatus(request.param)


@pytest.fixture
def url(metrics: str, readiness: HTTPStatus) -> Iterator[str]:
    """A server with both programs' readiness and /metrics."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.path in ("/readyz", "/health/ready")
            self.send_response(readiness if asked else HTTPStatus.OK)
            self.end_headers()
            self.wfile.write(metrics.encode() if self.path == "/metrics" else b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name there)
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_its_command_succeeds_only_with_a_ready_program_that_has_metrics(
    chart_cluster: Cluster,
    url: str,
    asked: tuple[str, str, str],
    metrics: str,
    readiness: HTTPStatus,
) -> None:
    template, variable, own = asked
    text = chart_cluster.helm(
        "template", "usage", str(CHART), f"-s=templates/tests/{template}",
        "--set=controlPlane.enabled=true",
    )  # fmt: skip
    (container,) = yaml.safe_load(text)["spec"]["containers"]
    interpreter, *arguments = container["command"]
    assert interpreter == "python"
    ran = subprocess.run(
        [sys.executable, *arguments],
        env={variable: url},
        capture_output=True,
        timeout=60,
        check=False,
    )
    good = readiness is HTTPStatus.OK and metrics == own
    assert (ran.returncode == 0) == good, ran.stderr.decode()


@pytest.mark.parametrize(("phase", "passes"), [("Succeeded", True), ("Failed", False)])
def test_helm_waits_for_its_pod_and_says_how_it_ended(
    releases: Releases, phase: str, passes: bool
) -> None:
    releases.install("usage")
    outcome: list[CommandError | str] = []

    def run_tests() -> None:
        try:
            outcome.append(
                releases.cluster.helm("test", "usage", f"--namespace={NAMESPACE}", "--timeout=30s")
            )
        except CommandError as error:
            outcome.append(error)

    waiting = threading.Thread(target=run_tests)
    waiting.start()
    # No kubelet here: the pod's end is written by hand.
    with releases.cluster.client() as client:
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods/usage-agentspec-usage-test"
        while client.get(pods).status_code != HTTPStatus.OK:
            assert waiting.is_alive(), outcome
            time.sleep(0.1)
        client.patch(
            f"{pods}/status",
            content=json.dumps({"status": {"phase": phase}}),
            headers={"Content-Type": "application/merge-patch+json"},
        ).raise_for_status()
    waiting.join(timeout=60)

    (answer,) = outcome
    assert isinstance(answer, str) == passes, answer
    releases.cluster.kubectl(
        "-n", NAMESPACE, "delete", "pod", "usage-agentspec-usage-test", "--ignore-not-found",
        "--force", "--grace-period=0",
    )  # fmt: skip
