"""A cluster is used with its own address and rights; what the user has is not touched."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agentspec_usage.devcluster import Cluster, CommandError

pytestmark = pytest.mark.cluster

_CLI = (sys.executable, "-m", "agentspec_usage.cli.main", "devcluster")


def test_a_kubeconfig_of_the_users_is_neither_contacted_nor_changed(
    assets: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        foreign.settimeout(0)
        address = f"http://127.0.0.1:{foreign.getsockname()[1]}"
        home = tmp_path / "home"
        (home / ".kube").mkdir(parents=True)
        theirs = json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "x",
                "clusters": [{"name": "x", "cluster": {"server": address}}],
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            }
        )
        (home / ".kube" / "config").write_text(theirs)
        environment = {
            **os.environ,
            "HOME": str(home),
            "KUBECONFIG": str(home / ".kube" / "config"),
            "HTTPS_PROXY": address,
            "KUBEBUILDER_ASSETS": str(assets),
        }
        environment.pop("XDG_STATE_HOME", None)
        for verb in (("up",), ("status",), ("kubeconfig",), ("down",)):
            subprocess.run((*_CLI, *verb), env=environment, check=True, timeout=120)
        with pytest.raises(BlockingIOError):
            foreign.accept()
        assert (home / ".kube" / "config").read_text() == theirs


def test_the_status_of_a_running_cluster_can_be_read_by_a_program(cluster: Cluster) -> None:
    done = subprocess.run(
        (*_CLI, "status", "--dir", str(cluster.directory), "--output", "json"),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    status = json.loads(done.stdout)
    assert status["url"] == cluster.url
    assert status["version"].startswith("v1.")
    assert status["processes"]["etcd"] == cluster.state.processes["etcd"].pid


def test_without_a_cluster_status_and_kubeconfig_end_with_1(tmp_path: Path) -> None:
    for verb in ("status", "kubeconfig"):
        done = subprocess.run(
            (*_CLI, verb, "--dir", str(tmp_path / "none")),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert "no cluster runs in" in done.stderr


def test_a_service_account_has_its_own_rights_and_no_more(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    theirs = cluster.service_account_kubeconfig(namespace, "default", tmp_path / "kubeconfig")
    who = cluster.kubectl("--kubeconfig", str(theirs), "auth", "whoami", "--output=json")
    username = json.loads(who)["status"]["userInfo"]["username"]
    assert username == f"system:serviceaccount:{namespace}:default"
    with pytest.raises(CommandError, match="forbidden"):
        cluster.kubectl("--kubeconfig", str(theirs), "get", "pods", "--namespace", namespace)


def test_a_pod_with_a_loopback_address_is_accepted_in_a_new_namespace(
    cluster: Cluster, namespace: str
) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent"},
        "spec": {"containers": [{"name": "agent", "image": "agent"}]},
    }
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(pod))
    address = {
        "status": {"phase": "Running", "podIPs": [{"ip": "127.9.9.9"}], "podIP": "127.9.9.9"}
    }
    patch = ("patch", "pod", "agent", "-n", namespace, "--subresource=status", "--type=merge")
    cluster.kubectl(*patch, "--patch", json.dumps(address))
    shown = cluster.kubectl("get", "pod", "agent", "-n", namespace, "-o=jsonpath={.status.podIP}")
    assert shown == "127.9.9.9"


def test_etcd_has_no_port_that_others_could_write_to(cluster: Cluster) -> None:
    pid = cluster.state.processes["etcd"].pid
    inodes = {
        os.readlink(path).removeprefix("socket:[").rstrip("]")
        for path in Path(f"/proc/{pid}/fd").iterdir()
        if os.readlink(path).startswith("socket:")
    }
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[9] in inodes
    ]
    assert inodes
    assert listening == []


def test_a_stock_manifest_of_several_objects_is_installed_by_helm(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 0.1.0\n")
    (chart / "templates" / "map.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tiny}\ndata: {a: b}\n"
    )
    cluster.helm("install", "tiny", str(chart), "--namespace", namespace)
    assert "tiny-0.1.0" in cluster.helm("list", "--namespace", namespace)
    assert cluster.kubectl("get", "cm", "tiny", "-n", namespace, "-o=jsonpath={.data.a}") == "b"


def test_the_command_line_runs_a_kubectl_that_fits_on_the_cluster(
    cluster: Cluster, namespace: str
) -> None:
    verb = ("kubectl", "--dir", str(cluster.directory), "--", "get", "sa", "-n", namespace)
    done = subprocess.run(
        (*_CLI, *verb, "--output=name"), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "serviceaccount/default\n"
