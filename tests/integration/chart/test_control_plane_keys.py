"""Keys and database of the control plane are made once, and nothing that helm does ends them."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from agentspec_usage.devcluster import CommandError
from tests.integration.chart.releases import NAMESPACE, Releases

pytestmark = [pytest.mark.cluster, pytest.mark.helm]

NAME = "usage-agentspec-usage-controlplane"
ON = "--set=controlPlane.enabled=true"


def data_of(releases: Releases, kind: str, name: str) -> dict[str, str]:
    found: dict[str, Any] = json.loads(
        releases.cluster.kubectl("-n", NAMESPACE, "get", kind, name, "-o", "json")
    )
    data: dict[str, str] = found["data"]
    return data


def keys(releases: Releases) -> dict[str, str]:
    """What the chart made, by name: both keys in base64, and the public one."""
    return (
        data_of(releases, "secret", f"{NAME}-admin")
        | data_of(releases, "secret", f"{NAME}-signing")
        | data_of(releases, "configmap", f"{NAME}-signing")
    )


def claim(releases: Releases) -> str:
    """The identity of the database's claim: another one would be another volume."""
    return releases.cluster.kubectl(
        "-n", NAMESPACE, "get", "pvc", NAME, "-o", "jsonpath={.metadata.uid}"
    )


@pytest.fixture
def installed(control_planes: Releases) -> Releases:
    control_planes.install("usage", ON)
    return control_planes


def test_the_keys_are_random_long_and_belong_together(installed: Releases) -> None:
    first = keys(installed)
    assert set(first) == {"admin-key", "signing.pem", "public.pem"}
    assert len(b64decode(first["admin-key"])) == 64
    private = load_pem_private_key(b64decode(first["signing.pem"]), None)
    assert private.public_key() == load_pem_public_key(first["public.pem"].encode())

    installed.remove_kept()
    installed.install("usage", ON)
    second = keys(installed)
    assert {key for key in first if first[key] == second[key]} == set()


def test_an_upgrade_keeps_keys_and_database(installed: Releases) -> None:
    before, volume = keys(installed), claim(installed)
    installed.upgrade("usage", ON, "--set=controlPlane.keyDays=30")
    assert (keys(installed), claim(installed)) == (before, volume)


def test_a_key_that_was_changed_by_hand_stays_changed(installed: Releases) -> None:
    mine = b64encode(b"a key that the administrator chose").decode()
    installed.cluster.kubectl(
        "-n", NAMESPACE, "patch", "secret", f"{NAME}-admin", "--type=merge",
        "-p", json.dumps({"data": {"admin-key": mine}}),
    )  # fmt: skip
    before = keys(installed)
    installed.upgrade("usage", ON)
    assert keys(installed) == before
    assert before["admin-key"] == mine


@pytest.mark.parametrize("content", ["no key at all", "-----BEGIN PRIVATE KEY-----\n"])
def test_a_signing_key_that_is_none_stops_the_upgrade(installed: Releases, content: str) -> None:
    wrong = json.dumps({"data": {"signing.pem": b64encode(content.encode()).decode()}})
    installed.cluster.kubectl(
        "-n", NAMESPACE, "patch", "secret", f"{NAME}-signing", "--type=merge", "-p", wrong
    )
    with pytest.raises(CommandError, match=r"signing-key\.yaml"):
        installed.upgrade("usage", ON)


def test_uninstall_keeps_keys_and_database_and_a_new_install_has_them(
    installed: Releases,
) -> None:
    before, volume = keys(installed), claim(installed)
    assert "kept due to the resource policy" in installed.uninstall("usage")
    assert (keys(installed), claim(installed)) == (before, volume)
    deployments = installed.cluster.kubectl("-n", NAMESPACE, "get", "deployments", "-o", "name")
    assert deployments == ""
    installed.install("usage", ON)
    assert (keys(installed), claim(installed)) == (before, volume)


def test_switching_it_off_and_on_keeps_keys_and_database(installed: Releases) -> None:
    before, volume = keys(installed), claim(installed)
    installed.upgrade("usage", "--set=controlPlane.enabled=false")
    deployments = installed.cluster.kubectl("-n", NAMESPACE, "get", "deployments", "-o", "name")
    assert deployments.split() == ["deployment.apps/usage-agentspec-usage"]
    assert (keys(installed), claim(installed)) == (before, volume)
    installed.upgrade("usage", ON)
    assert (keys(installed), claim(installed)) == (before, volume)
