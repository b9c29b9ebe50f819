"""Starting, finding, stopping a cluster, with the real servers."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from agentspec_usage.devcluster import (
    Binaries,
    Cluster,
    CommandError,
    DevclusterError,
    NotRunningError,
    Options,
    down,
    find,
    up,
)
from agentspec_usage.devcluster.processes import (
    ProcessIdentity,
    find_by_argument,
    is_running,
    stop,
)
from agentspec_usage.devcluster.servers import data_argument
from agentspec_usage.devcluster.starting import fresh_state, remove_remains, start_servers
from agentspec_usage.devcluster.state import APISERVER, ETCD, Layout

pytestmark = pytest.mark.cluster

_OPTIONS = Options(durable=False, tied=True)


@pytest.fixture
def own(binaries: Binaries, tmp_path: Path) -> Cluster:
    """A cluster for one test, which may break it."""
    return up(tmp_path / "own", binaries, options=_OPTIONS)


def _strays(directory: Path) -> list[ProcessIdentity]:
    layout = Layout(directory)
    return [
        identity
        for program in (ETCD, APISERVER)
        for identity in find_by_argument(data_argument(program, layout))
    ]


def test_up_twice_is_one_cluster(own: Cluster, binaries: Binaries) -> None:
    again = up(own.directory, binaries, options=_OPTIONS)
    assert again.state == own.state
    assert len(_strays(own.directory)) == 2
    own.down()


def test_two_ups_at_once_are_one_cluster(assets: Path, tmp_path: Path) -> None:
    directory = tmp_path / "own"
    command = (
        *(sys.executable, "-m", "agentspec_usage.cli.main"),
        *("devcluster", "up", "--dir", str(directory)),
    )
    environment = {**os.environ, "KUBEBUILDER_ASSETS": str(assets)}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        said = {running.communicate(timeout=120)[0].decode() for running in both}
        assert said == {f"export KUBECONFIG={directory / 'kubeconfig'}\n"}
        assert len(_strays(directory)) == 2
    finally:
        down(directory)


def test_a_removal_that_was_interrupted_can_be_finished(own: Cluster, tmp_path: Path) -> None:
    kept = own.directory / "cluster.json"
    said = kept.read_text()
    own.down()
    own.directory.mkdir()
    kept.write_text(said)
    (own.directory / "etcd.log").write_text("")
    assert down(own.directory) is True
    own.directory.mkdir()
    (own.directory / ".cluster.json.new").write_text('{"half')
    down(own.directory)
    assert not own.directory.exists()


def test_down_ends_the_servers_and_removes_the_directory(own: Cluster, binaries: Binaries) -> None:
    processes = own.state.processes.values()
    own.down()
    assert not any(is_running(identity) for identity in processes)
    assert not own.directory.exists()
    assert find(own.directory, binaries) is None
    assert down(own.directory) is False


def test_two_clusters_run_side_by_side_and_do_not_know_each_other(
    cluster: Cluster, own: Cluster
) -> None:
    own.ensure_namespace("only-here")
    assert own.url != cluster.url
    with pytest.raises(CommandError, match="not found"):
        cluster.kubectl("get", "namespace", "only-here")
    with (
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
        cluster.client() as c,
    ):
        c.get(f"{own.url}/version")
    own.down()


def test_what_a_dead_cluster_left_is_cleared_and_a_new_one_started(
    own: Cluster, binaries: Binaries
) -> None:
    own.ensure_namespace("before")
    for program in (APISERVER, ETCD):
        stop(own.state.processes[program], grace=0)
    assert find(own.directory, binaries) is None
    again = up(own.directory, binaries, options=_OPTIONS)
    with pytest.raises(CommandError, match="not found"):
        again.kubectl("get", "namespace", "before")
    again.down()


def test_servers_that_no_file_knows_are_ended_by_up_and_by_down(
    own: Cluster, binaries: Binaries
) -> None:
    layout = Layout(own.directory)
    known = set(own.state.processes.values())
    layout.state.write_text('{"name":"x","port":1,"token":"t","started":0,"processes":{}}')
    again = up(own.directory, binaries, options=Options(durable=False))
    assert not any(is_running(who) for who in known if who in _strays(own.directory))
    assert len(_strays(own.directory)) == 2
    layout.state.write_text('{"name":"x","port":1,"token":"t","started":0,"processes":{}}')
    assert down(again.directory) is True
    assert _strays(again.directory) == []


def test_the_api_server_restarts_alone_with_its_data_its_address_and_its_certificate(
    own: Cluster,
) -> None:
    own.ensure_namespace("kept")
    url, kubeconfig = own.url, own.kubeconfig.read_text()
    own.stop_apiserver()
    with pytest.raises(httpx.ConnectError), own.client() as client:
        client.get("/readyz")
    own.start_apiserver()
    assert own.url == url
    assert own.kubeconfig.read_text() == kubeconfig
    assert own.kubectl("get", "namespace", "kept", "--output=name") == "namespace/kept\n"
    own.down()


def test_up_starts_an_api_server_that_was_stopped_on_the_same_data(
    own: Cluster, binaries: Binaries
) -> None:
    own.ensure_namespace("kept")
    own.stop_apiserver()
    again = up(own.directory, binaries, options=_OPTIONS)
    assert again.kubectl("get", "namespace", "kept", "--output=name") == "namespace/kept\n"
    own.down()


def test_nobody_else_can_read_what_a_cluster_writes(own: Cluster) -> None:
    assert stat.S_IMODE(own.directory.stat().st_mode) == 0o700
    open_to_others = [
        path
        for path in own.directory.rglob("*")
        if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert open_to_others == []
    assert stat.S_IMODE(own.kubeconfig.stat().st_mode) == 0o600
    own.down()


def test_a_directory_that_is_not_a_clusters_is_left_alone(
    binaries: Binaries, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DevclusterError, match=r"it has 'thesis\.txt'"):
        up(tmp_path, binaries)
    with pytest.raises(DevclusterError, match=r"it has 'thesis\.txt'"):
        down(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_start_that_fails_leaves_nothing(binaries: Binaries, tmp_path: Path) -> None:
    with pytest.raises(DevclusterError, match="not ready in time"):
        up(tmp_path / "own", binaries, options=Options(wait_seconds=0.0))
    assert not (tmp_path / "own").exists()
    assert _strays(tmp_path / "own") == []


def test_a_port_that_is_taken_is_exchanged_for_another(
    cluster: Cluster, binaries: Binaries, tmp_path: Path
) -> None:
    """The port was free when it was chosen and is not when the server binds it."""
    layout = Layout(tmp_path)
    paths = {name: str(path) for name, path in binaries.ensure((ETCD, APISERVER)).items()}
    taken = replace(fresh_state("taken", durable=False), port=cluster.state.port, binaries=paths)
    try:
        started = start_servers(taken, layout, wait_seconds=60.0)
        assert started.port != cluster.state.port
        assert started.version
    finally:
        remove_remains(layout)


def test_a_cluster_that_is_gone_says_so(own: Cluster) -> None:
    own.down()
    with pytest.raises(NotRunningError, match="no cluster runs in"):
        own.ensure_namespace("late")
