"""With the controller manager a cluster does what others do by themselves."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from agentspec_usage.devcluster import Binaries, CommandError, Options, up
from agentspec_usage.devcluster.processes import is_running

pytestmark = pytest.mark.cluster


def test_a_deployment_gets_pods_and_a_deleted_namespace_goes(
    binaries: Binaries, tmp_path: Path
) -> None:
    options = Options(controller_manager=True, durable=False, tied=True)
    running = up(tmp_path / "own", binaries, options=options)
    running.ensure_namespace("team")
    labels = {"app": "agent"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "agent", "namespace": "team"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "agent", "image": "agent"}]},
            },
        },
    }
    running.kubectl("apply", "-f", "-", stdin=json.dumps(deployment))
    deadline = time.monotonic() + 60
    while len(running.kubectl("get", "pods", "-n", "team", "-o=name").split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    running.kubectl("delete", "namespace", "team", "--timeout=60s", timeout=90)
    with pytest.raises(CommandError, match="NotFound"):
        running.kubectl("get", "namespace", "team")
    processes = running.state.processes
    assert "kube-controller-manager" in processes
    running.down()
    assert not any(is_running(identity) for identity in processes.values())
