"""The chart agrees with what it packs: the definition, the settings, the version, its values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agentspec_usage import __version__
from agentspec_usage.controller.settings import OperatorSettings
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from charts.generate import CHART, REPAIR, documented_values, readme
from tests.contract.crd_schema import ROOT

PREFIX = "AGENTSPEC_OPERATOR_"

NOT_IN_THE_CHART = {
    "kubeconfig",  # in a cluster the pod's own account is used
    "leader_elect",  # also one replica has a successor at each rollout
    "health_address",  # probes come from outside the pod
    "allow_loopback",  # for development
    "price_book",  # a file, there when priceBook has a text: absent from the default install
    "namespaces",  # set with watchNamespaces, absent from the default install
    "control_plane_url",  # with a control plane, which the default install has not
    "control_plane_token_file",  # the same
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


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema``, or the definition that it refers to."""
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = schema_of_values()["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    return found


def schema_at(path: str) -> dict[str, Any] | None:
    """The schema of the value at ``path``."""
    below = schema_of_values()
    for key in path.split("."):
        if key not in below.get("properties", {}):
            return None
        below = resolved(below["properties"][key])
    return below


def schema_paths(schema: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, below in resolved(schema).get("properties", {}).items():
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
    optional = {"global", "resources.claims", "controlPlane.resources.claims"}
    assert {path for path in schema_paths(schema_of_values()) if not is_there(path)} == optional


def test_the_deployment_sets_settings_that_the_operator_has() -> None:
    fields = {name.removeprefix(PREFIX).lower() for name in operator_environment()}
    assert fields == set(OperatorSettings.model_fields) - NOT_IN_THE_CHART


def test_a_default_of_the_chart_is_the_default_of_the_operator() -> None:
    by_field = {
        name.removeprefix(PREFIX).lower(): value for name, value in operator_environment().items()
    }
    from_pod = {"identity", "lease_namespace"}
    of_the_secret = {"seal_key_file", "previous_seal_key_file", "seal_required"}
    own = from_pod | of_the_secret
    given = {field: value for field, value in by_field.items() if field not in own}
    settings = OperatorSettings.model_validate(given)
    assert settings == OperatorSettings()


def values_of_control_plane() -> dict[str, Any]:
    """Its settings by the names of their fields, as values.yaml has them."""
    values = yaml.safe_load(values_text())["controlPlane"]
    named = {field_of(name): value for name, value in values.items()}
    return {name: value for name, value in named.items() if name in settable_in_control_plane()}


def settable_in_control_plane() -> set[str]:
    return set(ControlPlaneSettings.model_fields) - DECIDED_BY_THE_CHART


DECIDED_BY_THE_CHART = {
    "address",  # agents and probes come from outside the pod
    "database",
    "admin_key_file",
    "price_book",
    "signing_key_file",
    "checkpoint_file",
    "kubeconfig",  # in a cluster the pod's own account is used
    "head_config_map",  # ledgerConfigMap, in the release's namespace
    "remote_namespace",  # remoteAgents.namespace
    "lease",  # where there may be several
    "operator_key_file",  # how the release's own operator shows who it is
    "operator_service_account",
    "operator_audience",
}


def field_of(name: str) -> str:
    """The setting's field that a value's name stands for: writeBudget is write_budget."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def test_the_control_plane_is_told_every_setting_but_where_it_is() -> None:
    text = (CHART / "templates" / "controlplane" / "deployment.yaml").read_text(encoding="utf-8")
    fields = {name.lower() for name in re.findall(r"AGENTSPEC_CONTROLPLANE_([A-Z_]+)", text)}
    assert fields == set(ControlPlaneSettings.model_fields) - {"address", "kubeconfig"}


def test_every_setting_of_the_control_plane_is_a_value_with_its_default() -> None:
    values = values_of_control_plane()
    assert set(values) == settable_in_control_plane()
    assert ControlPlaneSettings.model_validate(values) == ControlPlaneSettings()


NOT_A_SETTING = {"extraEnv", "controlPlane"}
BOUNDED_BY_THE_PORTS_WITHOUT_ROOT = {"healthPort", "port"}


def settings_with_bounds() -> Iterator[Any]:
    """Path of the value, and what its setting's model says of it."""
    for program, model in (
        ("operator", OperatorSettings),
        ("controlPlane", ControlPlaneSettings),
    ):
        fields = model.model_json_schema()["properties"]
        names = set(schema_of_values()["properties"][program]["properties"])
        if program == "controlPlane":
            names = {name for name in names if field_of(name) in fields}
        for name in sorted(names - NOT_A_SETTING - BOUNDED_BY_THE_PORTS_WITHOUT_ROOT):
            yield pytest.param(f"{program}.{name}", fields[field_of(name)], id=f"{program}-{name}")


@pytest.mark.parametrize(("path", "of_model"), list(settings_with_bounds()))
def test_the_schema_draws_the_bounds_of_the_program(path: str, of_model: dict[str, Any]) -> None:
    of_chart = schema_at(path)
    assert of_chart is not None
    bounds = ("minimum", "maximum", "exclusiveMinimum", "enum")
    assert {key: of_chart.get(key) for key in bounds} == {key: of_model.get(key) for key in bounds}


def test_install_yaml_leaves_the_definition_to_crds() -> None:
    assert list(installed("CustomResourceDefinition")) == []
    assert [document["metadata"]["name"] for document in installed("Namespace")] == [
        "agentspec-system"
    ]
