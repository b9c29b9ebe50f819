"""The operator's seal key is made once, kept, rotated by hand, and never a part of a file."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest

from agentspec_usage.devcluster import Cluster
from agentspec_usage.wire.writer_state_seal import SealKey
from tests.integration.chart.releases import CHART, NAMESPACE, Releases
from tests.integration.chart.rendering import environment, rendered, the

pytestmark = [pytest.mark.cluster, pytest.mark.helm]

NAME = "usage-agentspec-usage-seal"


def held(releases: Releases) -> dict[str, str]:
    """What the Secret holds, decoded."""
    found = json.loads(
        releases.cluster.kubectl("-n", NAMESPACE, "get", "secret", NAME, "-o", "json")
    )
    return {key: b64decode(value).decode() for key, value in found["data"].items()}


def rotate(releases: Releases, new: str) -> None:
    """Change the key as docs/operator.md says."""
    secret = ("-n", NAMESPACE, "get", "secret", NAME, "-o", "jsonpath={.data.key}")
    change = {"data": {"previous": releases.cluster.kubectl(*secret)}, "stringData": {"key": new}}
    releases.cluster.kubectl("-n", NAMESPACE, "patch", "secret", NAME, "-p", json.dumps(change))


@pytest.fixture
def installed(releases: Releases) -> Iterator[Releases]:
    releases.install("usage")
    yield releases
    releases.uninstall_all()
    releases.cluster.kubectl("-n", NAMESPACE, "delete", "secret", NAME)


def test_the_key_is_random_and_one_that_the_operator_takes(installed: Releases) -> None:
    first = held(installed)
    assert set(first) == {"key"}
    SealKey.of(first["key"])
    assert len(first["key"]) == 64

    installed.uninstall("usage")
    installed.cluster.kubectl("-n", NAMESPACE, "delete", "secret", NAME)
    installed.install("usage")
    assert held(installed)["key"] != first["key"]


def test_an_upgrade_and_a_new_install_after_an_uninstall_keep_it(installed: Releases) -> None:
    before = held(installed)
    installed.upgrade("usage", "--set=operator.writeBudget=7")
    assert held(installed) == before
    assert "kept due to the resource policy" in installed.uninstall("usage")
    assert held(installed) == before
    installed.install("usage")
    assert held(installed) == before


def test_a_rotation_by_hand_outlives_upgrades(installed: Releases) -> None:
    old = held(installed)["key"]
    rotate(installed, "n" * 64)
    installed.upgrade("usage")
    assert held(installed) == {"key": "n" * 64, "previous": old}


def test_the_operator_finds_its_keys_where_the_secret_is_mounted(chart_cluster: Cluster) -> None:
    objects = rendered(chart_cluster)
    deployment = the(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (volume,) = [each for each in pod["volumes"] if "secret" in each]
    (mount,) = [
        each for each in pod["containers"][0]["volumeMounts"] if each["name"] == volume["name"]
    ]
    secret = the(objects, "Secret")
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]
    assert volume["secret"]["optional"] is False
    assert mount["readOnly"] is True
    variables = environment(deployment)
    (key,) = secret["data"]
    assert variables["AGENTSPEC_OPERATOR_SEAL_KEY_FILE"] == f"{mount['mountPath']}/{key}"
    previous = variables["AGENTSPEC_OPERATOR_PREVIOUS_SEAL_KEY_FILE"]
    assert previous == f"{mount['mountPath']}/previous"
    assert variables["AGENTSPEC_OPERATOR_SEAL_REQUIRED"] == "true"


@pytest.mark.parametrize(
    ("values", "optional"),
    [
        pytest.param({"keySecret": "mine"}, False, id="required"),
        pytest.param({"keySecret": "mine", "required": False}, True, id="not required"),
    ],
)
def test_a_secret_of_ones_own_is_used_and_none_made(
    chart_cluster: Cluster, values: dict[str, Any], optional: bool
) -> None:
    objects = rendered(chart_cluster, {"seal": values})
    assert "Secret" not in [each["kind"] for each in objects]
    deployment = the(objects, "Deployment")
    (volume,) = [
        each for each in deployment["spec"]["template"]["spec"]["volumes"] if "secret" in each
    ]
    assert volume["secret"]["secretName"] == "mine"
    assert volume["secret"]["optional"] is optional
    required = environment(deployment)["AGENTSPEC_OPERATOR_SEAL_REQUIRED"]
    assert required == str(not optional).lower()


def test_install_yaml_has_no_key_and_works_with_and_without_one() -> None:
    """It is the same file for everybody, so a key in it would be none."""
    text = (CHART.parent / "install.yaml").read_text(encoding="utf-8")
    assert "kind: Secret" not in text
    assert "optional: true" in text
    assert "create secret generic agentspec-usage-seal" in text
    assert "secretName: agentspec-usage-seal" in text
