"""Which kubectl, helm and Go of the user's will do."""

from __future__ import annotations

import json

import pytest

from agentspec_usage.devcluster.binaries import is_near_kubectl, is_right_helm
from agentspec_usage.devcluster.toolchain import is_right_series


def _kubectl(major: str, minor: str) -> str:
    return json.dumps({"clientVersion": {"major": major, "minor": minor}})


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        pytest.param(_kubectl("1", "34"), False, id="two-behind"),
        pytest.param(_kubectl("1", "35"), True, id="one-behind"),
        pytest.param(_kubectl("1", "36"), True, id="the-servers"),
        pytest.param(_kubectl("1", "37+"), True, id="one-ahead-of-a-vendor"),
        pytest.param(_kubectl("1", "38"), False, id="two-ahead"),
        pytest.param(_kubectl("2", "36"), False, id="another-major"),
        pytest.param(_kubectl("1", ""), False, id="no-minor"),
        pytest.param("{}", False, id="no-version"),
        pytest.param("[]", False, id="not-an-object"),
        pytest.param("Client Version: v1.36.3", False, id="not-json"),
        pytest.param("", False, id="does-not-run"),
    ],
)
def test_kubectl_may_differ_by_one_minor_version(answer: str, accepted: bool) -> None:
    assert is_near_kubectl(answer) is accepted


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        pytest.param("v4.3.1", True, id="4"),
        pytest.param("v3.19.0", False, id="3"),
        pytest.param("v40.0.0", False, id="40"),
        pytest.param("", False, id="does-not-run"),
    ],
)
def test_helm_must_be_4(answer: str, accepted: bool) -> None:
    assert is_right_helm(answer) is accepted


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        pytest.param("go version go1.26.6 linux/amd64\n", True, id="patch"),
        pytest.param("go version go1.26 linux/amd64\n", True, id="no-patch"),
        pytest.param("go version go1.26.8-X:nocoverageredesign linux/amd64", True, id="experiment"),
        pytest.param("go version go1.27.0 linux/amd64\n", False, id="newer"),
        pytest.param("go version go1.25.9 linux/amd64\n", False, id="older"),
        pytest.param("go version go1.260.0 linux/amd64\n", False, id="looks-like"),
        pytest.param("go version go1.26rc1 linux/amd64\n", False, id="candidate"),
        pytest.param("", False, id="does-not-run"),
    ],
)
def test_go_must_be_of_the_series_that_kubernetes_names(answer: str, accepted: bool) -> None:
    assert is_right_series(answer) is accepted
