"""The page of the sidecar says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from agentspec_usage.cli.settings import variable
from agentspec_usage.cli.sidecar import PREFIX
from agentspec_usage.extraction.providers import table_name
from agentspec_usage.sidecar.settings import SidecarSettings
from agentspec_usage.sidecar.upstreams import UpstreamsFile

PAGE = (Path(__file__).parents[4] / "docs" / "sidecar.md").read_text()
SNIPPETS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def _shown(default: object) -> str:
    text = f"{default:g}" if isinstance(default, float) else str(default)
    return f"`{text}`" if text else ""


@pytest.mark.parametrize("name", SidecarSettings.model_fields)
def test_the_table_of_settings_has_every_setting_as_it_is(name: str) -> None:
    field = SidecarSettings.model_fields[name]
    flag = f"--{name.replace('_', '-')}"
    cells = (f"`{flag}`", f"`{variable(PREFIX, name)}`", _shown(field.default), field.description)
    assert f"| {' | '.join(str(cell) for cell in cells)} |" in PAGE


def test_the_table_of_settings_has_no_other() -> None:
    listed = re.findall(r"^\| `--([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert [name.replace("-", "_") for name in listed] == list(SidecarSettings.model_fields)


def test_the_upstreams_file_is_one() -> None:
    (document,) = [snippet for snippet in SNIPPETS if "upstreams" in snippet]
    assert len(UpstreamsFile.model_validate(document).upstreams) == 3


def test_the_pod_sets_variables_that_the_sidecar_knows() -> None:
    (pod,) = [snippet for snippet in SNIPPETS if "initContainers" in snippet]
    known = {variable(PREFIX, name) for name in SidecarSettings.model_fields}
    (sidecar,) = pod["initContainers"]
    assert {entry["name"] for entry in sidecar["env"]} <= known
    assert sidecar["ports"] == [{"name": "sidecar-usage", "containerPort": 4001}]


def test_the_providers_are_those_that_are_known() -> None:
    match = re.search(r"`provider` is one of ([a-z, \n]+)\.", PAGE)
    assert match is not None
    listed = re.split(r",\s+", match[1])
    assert [name for name in listed if table_name(name) != name] == []
