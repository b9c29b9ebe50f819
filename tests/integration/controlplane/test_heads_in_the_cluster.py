"""Heads kept in a ConfigMap of a real API server, and somebody who verifies by them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import yaml

from agentspec_usage.devcluster import Cluster
from agentspec_usage.store.proof.signing import new_key_pair
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.integration.controlplane.processes import ControlPlane, control_plane
from tests.integration.controlplane.waiting import until
from tests.unit.store.values import frame

COMMAND = Path(sys.executable).with_name("agentspec-usage")
LEDGER = "agentspec-usage-ledger"


def report(plane: ControlPlane, key: str, since: int, last: int) -> None:
    answer = httpx.post(
        f"{plane.url}/api/v1/usage/records",
        content=encode_records([encode_frame(frame(since, last))]),
        headers={"Authorization": f"Bearer {key}"},
        timeout=20,
    )
    assert answer.status_code == 200, answer.text


def covered(plane: ControlPlane, by: str) -> float:
    """The metric; 0 while there is none."""
    sought = f'agentspec_journal_covered_timestamp_seconds{{by="{by}"}} '
    lines = plane.get("/metrics").text.splitlines()
    return float(next((line for line in lines if line.startswith(sought)), " 0").split(" ")[1])


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """The private and the public key."""
    paths = (tmp_path / "signing.pem", tmp_path / "public.pem")
    for path, content in zip(paths, new_key_pair(), strict=True):
        path.write_bytes(content)
    return paths


@pytest.mark.cluster
def test_what_kubectl_prints_of_it_proves_that_the_end_of_the_journal_was_cut_off(
    cluster: Cluster, namespace: str, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    private, public = keys
    heads = tmp_path / "heads.txt"

    def printed() -> str:
        return cluster.kubectl(
            *("-n", namespace, "get", "configmap", LEDGER, "--ignore-not-found"),
            "-o=jsonpath={.data.checkpoints}",
        )

    def verify() -> subprocess.CompletedProcess[str]:
        heads.write_text(printed())
        return subprocess.run(
            [
                *(COMMAND, "verify", f"--database={plane.database}"),
                *(f"--public-key={public}", f"--checkpoint={heads}"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    with control_plane(
        tmp_path,
        f"--kubeconfig={cluster.kubeconfig}",
        f"--signing-key-file={private}",
        "--checkpoint-interval=1",
        f"--head-config-map={namespace}/{LEDGER}",
    ) as plane:
        key = plane.register("web")
        report(plane, key, 0, 3)
        until(lambda: printed().count("\nbatch ") == 1, "the first head is kept")
        report(plane, key, 3, 5)
        until(lambda: printed().count("\nbatch ") == 2, "the second head is kept")
        assert covered(plane, "configmap") > 0
        report(plane, key, 5, 6)
        assert plane.terminate() == 0, plane.log
        assert printed().count("\nbatch ") == 3, "what was stored last is signed and kept too"
        checked = verify()
        assert checked.returncode == 0, checked.stdout + checked.stderr

        with closing(sqlite3.connect(plane.database)) as connection:
            for statement in (
                "DELETE FROM item_details WHERE item > 5",
                "DELETE FROM items WHERE item > 5",
                "DELETE FROM batches WHERE batch > 2",
                "DELETE FROM checkpoints WHERE batch > 2",
            ):
                connection.execute(statement)
            connection.commit()
        checked = verify()
        assert checked.returncode == 1
        assert "CHANGED" in checked.stdout


def test_an_api_server_that_is_away_is_felt_by_no_agent_and_said_once(
    tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    context = {"name": "away", "context": {"cluster": "away", "user": "nobody"}}
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "away",
                "contexts": [context],
                "clusters": [{"name": "away", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "nobody", "user": {}}],
            }
        )
    )
    with control_plane(
        tmp_path,
        f"--kubeconfig={kubeconfig}",
        f"--signing-key-file={keys[0]}",
        "--checkpoint-interval=1",
        f"--head-config-map=usage/{LEDGER}",
    ) as plane:
        key = plane.register("web")
        report(plane, key, 0, 3)
        until(lambda: covered(plane, "signed"), "the head is signed")
        first = covered(plane, "signed")
        until(lambda: covered(plane, "signed") > first, "the rounds go on")
        assert covered(plane, "configmap") == 0
        report(plane, key, 3, 5)
        assert plane.terminate() == 0
        failed = [line for line in plane.lines() if line.get("place") == "configmap"]
        assert len(failed) == 1


def test_a_config_map_without_a_key_to_sign_with_is_refused_at_the_start(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path, "--head-config-map=usage/heads")
    try:
        plane.spawn()
        assert plane.wait() == 2
        assert "expected a signing_key_file beside it" in plane.log
    finally:
        plane.end()
