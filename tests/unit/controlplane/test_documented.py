"""The page of the control plane says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentspec_usage.cli.controlplane import PREFIX
from agentspec_usage.cli.settings import variable
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from tests.unit.controlplane.planes import Plane

PAGE = (Path(__file__).parents[3] / "docs" / "controlplane.md").read_text()


def _shown(default: object) -> str:
    text = f"{default:g}" if isinstance(default, float) else str(default)
    return f"`{text}`" if text else ""


@pytest.mark.parametrize("name", ControlPlaneSettings.model_fields)
def test_the_table_of_settings_has_every_setting_as_it_is(name: str) -> None:
    field = ControlPlaneSettings.model_fields[name]
    flag = f"--{name.replace('_', '-')}"
    cells = (f"`{flag}`", f"`{variable(PREFIX, name)}`", _shown(field.default), field.description)
    assert f"| {' | '.join(str(cell) for cell in cells)} |" in PAGE


def test_the_table_of_settings_has_no_other() -> None:
    listed = re.findall(r"^\| `--([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert [name.replace("-", "_") for name in listed] == list(ControlPlaneSettings.model_fields)


async def test_every_metric_is_listed(plane: Plane) -> None:
    own = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for metric in plane.metrics.registry.collect()
        if metric.name.startswith("agentspec_")
    }
    assert (
        set(re.findall(r"`(agentspec_[a-z_]+)[`{]", PAGE))
        - {"agentspec_store_commits_total{result"}
        == own
    )
