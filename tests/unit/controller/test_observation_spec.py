"""The spec of an object: what is accepted, and what a bad one says in its condition."""

from __future__ import annotations

from typing import Any

import pytest

from agentspec_usage.errors import WireError
from agentspec_usage.wire.observation import parse_spec


def test_a_name_is_enough_and_upstreams_defaults_hold() -> None:
    spec = parse_spec({"agentRef": {"name": "bot"}})
    assert (spec.sidecar_port, spec.check_interval, spec.source) == (4001, 30, "sidecar")
    assert spec.service_name == "bot-sidecar"
    assert spec.found_by_label


def test_fields_of_a_later_upstream_are_ignored() -> None:
    assert parse_spec({"agentRef": {"name": "bot", "x": 1}, "y": {}}).agent_ref.name == "bot"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(None, "spec.agentRef: expected a value", id="nothing"),
        pytest.param(
            {"checkInterval": 4},
            "spec.checkInterval: expected greater than or equal to 5",
            id="4 s",
        ),
        pytest.param(
            {"source": "mars"}, "spec.source: expected 'sidecar' or 'control-plane'", id="source"
        ),
        pytest.param(
            {"sidecarPort": 4000},
            "spec: expected the sidecar's control port in sidecarPort: 4000 is its proxy port",
            id="proxy port",
        ),
        pytest.param(
            {"podSelector": {}},
            "spec.podSelector: expected at least one label: an empty selector selects every pod",
            id="empty selector",
        ),
        pytest.param(
            {"agentRef": {"name": "b", "kind": "Pod"}, "podSelector": {"matchLabels": {"a": "b"}}},
            "spec: expected podSelector or agentRef.kind, not both: each says where the pods are",
            id="two ways",
        ),
    ],
)
def test_a_bad_spec_names_the_field_and_the_expectation_and_not_the_value(
    spec: dict[str, Any] | None, message: str
) -> None:
    given = None if spec is None else {"agentRef": {"name": "bot"}, **spec}
    with pytest.raises(WireError) as caught:
        parse_spec(given)
    assert str(caught.value) == message


@pytest.mark.parametrize("path", ["usage", "//x", "/a b", "/x?y", "/..%2f", ""])
def test_a_path_that_could_lead_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(WireError, match="usagePath"):
        parse_spec({"agentRef": {"name": "bot"}, "usagePath": path})
