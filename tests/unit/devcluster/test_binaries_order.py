"""A program is taken from the first place that has it: assets, cache, PATH (clients only)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentspec_usage.devcluster import Binaries, DevclusterError, Places, Progress
from agentspec_usage.devcluster.programs import PROGRAMS, program

_NEAR = json.dumps({"clientVersion": {"major": "1", "minor": "36"}})


def _script(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return path


@pytest.fixture
def binaries(tmp_path: Path) -> Binaries:
    places = Places(
        assets=tmp_path / "assets",
        cache=tmp_path / "cache",
        clusters=tmp_path / "clusters",
        search_path=str(tmp_path / "path"),
    )
    (tmp_path / "assets").mkdir()
    return Binaries(places, {}, Progress(None))


def test_ready_assets_win_over_the_cache_and_path(binaries: Binaries, tmp_path: Path) -> None:
    _script(binaries.cached_path(program("kubectl")))
    _script(tmp_path / "path" / "kubectl", f"echo '{_NEAR}'")
    wanted = _script(tmp_path / "assets" / "kubectl")
    assert binaries.path("kubectl") == wanted


def test_the_cache_wins_over_path(binaries: Binaries, tmp_path: Path) -> None:
    wanted = _script(binaries.cached_path(program("kubectl")))
    _script(tmp_path / "path" / "kubectl", f"echo '{_NEAR}'")
    assert binaries.path("kubectl") == wanted


def test_a_client_on_path_is_asked_for_its_version_and_taken(
    binaries: Binaries, tmp_path: Path
) -> None:
    kubectl = _script(tmp_path / "path" / "kubectl", f"echo '{_NEAR}'")
    helm = _script(tmp_path / "path" / "helm", "echo v4.0.1")
    assert binaries.ensure(("kubectl", "helm")) == {"kubectl": kubectl, "helm": helm}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        pytest.param("kubectl", 'echo "dispatcher: no version chosen"; exit 1', id="does-not-run"),
        pytest.param("helm", "echo v3.19.0", id="wrong-version"),
        pytest.param("kube-apiserver", "echo v1.36.3", id="server"),
        pytest.param("etcd", "echo v3.7.3", id="data-server"),
    ],
)
def test_what_does_not_suit_on_path_is_not_taken(
    binaries: Binaries, tmp_path: Path, name: str, line: str
) -> None:
    _script(tmp_path / "path" / name, line)
    assert binaries.find(name) is None


def test_the_question_to_a_client_on_path_cannot_reach_a_cluster_of_the_users(
    binaries: Binaries, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    _script(tmp_path / "path" / "helm", f'echo "$HOME $KUBECONFIG" > {seen}', "echo v4.0.1")
    binaries.path("helm")
    assert seen.read_text() == "/nonexistent /dev/null\n"


def test_a_file_that_cannot_be_executed_is_no_program(binaries: Binaries, tmp_path: Path) -> None:
    (tmp_path / "assets" / "etcd").write_text("half a download")
    assert binaries.find("etcd") is None


def test_assets_that_do_not_exist_are_an_error_and_not_a_build(tmp_path: Path) -> None:
    places = Places(tmp_path / "gone", tmp_path, tmp_path, "")
    with pytest.raises(DevclusterError, match=r"KUBEBUILDER_ASSETS=.*gone is not a directory"):
        Binaries(places, {}, Progress(None)).find("etcd")


def test_the_cache_key_names_the_release_and_changes_with_what_is_linked_in() -> None:
    keys = {one.name: one.module.cache_key for one in PROGRAMS}
    assert keys["kube-apiserver"].startswith("kubernetes-v1.36.3-linux-")
    assert keys["kube-apiserver"] == keys["kubectl"]
    module = program("helm").module
    restamped = type(module)(module.name, module.version, ("other=1",))
    assert restamped.cache_key != module.cache_key
