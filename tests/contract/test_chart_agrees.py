"""The chart agrees with what it packs: the definition, the settings, the version, its values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agentspec_usage import __version__
from agentspec_usage.controller.settings import OperatorSettings
from charts.generate import CHART, REPAIR, documented_values, readme
from tests.contract.crd_schema import ROOT

PREFIX = "AGENTSPEC_OPERATOR_"

NOT_IN_THE_CHART = {
    "kubeconfig",  # in a cluster the pod's own account is used
    "leader_elect",  # also one replica has a successor at each rollout
    "health_address",  # probes come from outside the pod
    "allow_loopback",  # for development
    "namespaces",  # set with watchNamespaces, absent from the default install
}


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def values_text() -> str:
    return (CHART / "values.yaml").read_text(encoding="utf-8")


def schema_of_values() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return found


def installed(kind: str) -> Iterator[dict[str, Any]]:
    for document in yaml.safe_load_all(read("charts/install.yaml")):
        if document["kind"] == kind:
            yield document


def schema_at(path: str) -> dict[str, Any] | None:
    """The schema of the value at ``path``."""
    schema = schema_of_values()
    below = schema
    for key in path.split("."):
        below = below.get("properties", {}).get(key)
        if below is None:
            return None
        if "$ref" in below:
            below = schema["definitions"][below["$ref"].rsplit("/", 1)[1]]
    return below


def schema_paths(schema: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, below in schema.get("properties", {}).items():
        yield f"{above}{key}"
        yield from schema_paths(below, f"{above}{key}.")


def operator_environment() -> dict[str, str]:
    (deployment,) = installed("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def test_the_chart_carries_the_one_definition() -> None:
    copy = (CHART / "files" / "agentobservations.yaml").read_text(encoding="utf-8")
    assert copy == read("crds/agentobservations.yaml"), f"run: {REPAIR}"


def test_the_readme_lists_the_values_as_they_are() -> None:
    current = (CHART / "README.md").read_text(encoding="utf-8")
    assert current == readme(current, values_text()), f"run: {REPAIR}"


def test_the_chart_installs_the_version_that_is_here() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == __version__


def test_every_value_is_described_and_has_a_schema() -> None:
    described = [value.path for value in documented_values(values_text())]
    assert [path for path in described if schema_at(path) is None] == []

    def undescribed(values: dict[str, Any], above: str = "") -> Iterator[str]:
        for key, value in values.items():
            path = f"{above}{key}"
            if path in described:
                continue
            if isinstance(value, dict) and value:
                yield from undescribed(value, f"{path}.")
            else:
                yield path

    assert list(undescribed(yaml.safe_load(values_text()))) == []


def test_the_schema_knows_no_value_that_is_not_there() -> None:
    values = yaml.safe_load(values_text())

    def is_there(path: str) -> bool:
        below = values
        for key in path.split("."):
            if not isinstance(below, dict) or key not in below:
                return False
            below = below[key]
        return True

    # Helm itself hands "global" to every chart, and "resources" is Kubernetes' own type.
    optional = {"global", "resources.claims"}
    assert {path for path in schema_paths(schema_of_values()) if not is_there(path)} == optional


def test_the_deployment_sets_settings_that_the_operator_has() -> None:
    fields = {name.removeprefix(PREFIX).lower() for name in operator_environment()}
    assert fields == set(OperatorSettings.model_fields) - NOT_IN_THE_CHART


def test_a_default_of_the_chart_is_the_default_of_the_operator() -> None:
    by_field = {
        name.removeprefix(PREFIX).lower(): value for name, value in operator_environment().items()
    }
    from_pod = {"identity", "lease_namespace"}
    given = {field: value for field, value in by_field.items() if field not in from_pod}
    settings = OperatorSettings.model_validate(given)
    assert settings == OperatorSettings()


NOT_A_SETTING = {"extraEnv"}
BOUNDED_BY_THE_PORTS_WITHOUT_ROOT = {"healthPort"}


@pytest.mark.parametrize(
    "name",
    sorted(
        set(schema_of_values()["properties"]["operator"]["properties"])
        - NOT_A_SETTING
        - BOUNDED_BY_THE_PORTS_WITHOUT_ROOT
    ),
)
def test_the_schema_draws_the_bounds_of_the_operator(name: str) -> None:
    field = "".join(f"_{char.lower()}" if char.isupper() else char for char in name)
    of_model = OperatorSettings.model_json_schema()["properties"][field]
    of_chart = schema_at(f"operator.{name}")
    assert of_chart is not None
    bounds = ("minimum", "maximum", "exclusiveMinimum", "enum")
    assert {key: of_chart.get(key) for key in bounds} == {key: of_model.get(key) for key in bounds}


def test_install_yaml_leaves_the_definition_to_crds() -> None:
    assert list(installed("CustomResourceDefinition")) == []
    assert [document["metadata"]["name"] for document in installed("Namespace")] == [
        "agentspec-system"
    ]
