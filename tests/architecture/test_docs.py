"""What the documents say is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from agentspec_usage.cli.operator import PREFIX
from agentspec_usage.cli.settings import variable
from agentspec_usage.controller.metrics import Metrics
from agentspec_usage.controller.observation_sender import ObservationStats
from agentspec_usage.controller.settings import OperatorSettings
from agentspec_usage.controller.writer import WriterStats
from agentspec_usage.metering.completeness import Reason, completeness_of
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.wire.usage import decode_usage

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
OPERATOR = (ROOT / "docs" / "operator.md").read_text()
AGENTS = (ROOT / "docs" / "agents.md").read_text()

OF_PROGRAMS_TO_COME = {
    Reason.CLOCK_SKEW,
    Reason.COARSE_TIME,
    Reason.RING_OVERFLOW,
    Reason.STORE_ROLLED_BACK,
    Reason.UNPRICED,
}
"""Reasons that the operator alone never gives."""


class _NoWrites:
    stats = WriterStats(0, 0, 0, 0, 0, 0, 0, 0, 0)


class _NothingDue:
    waiting = 0
    running = 0


class _NothingHandedIn:
    stats = ObservationStats(0, 0, 0, 0)


def _shown(default: object) -> str:
    match default:
        case bool():
            text = str(default).lower()
        case float():
            text = f"{default:g}"
        case tuple():
            text = ",".join(default)
        case _:
            text = str(default)
    return f"`{text}`" if text else ""


@pytest.mark.parametrize("name", OperatorSettings.model_fields)
def test_the_table_of_settings_has_every_setting_as_it_is(name: str) -> None:
    field = OperatorSettings.model_fields[name]
    flag = f"--{name.replace('_', '-')}"
    cells = (f"`{flag}`", f"`{variable(PREFIX, name)}`", _shown(field.default), field.description)
    assert f"| {' | '.join(str(cell) for cell in cells)} |" in OPERATOR


def test_the_table_of_settings_has_no_other() -> None:
    listed = re.findall(r"^\| `--([a-z-]+)` \|", OPERATOR, re.MULTILINE)
    assert [name.replace("-", "_") for name in listed] == list(OperatorSettings.model_fields)


def test_every_metric_is_listed() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.watch_parts([], [], _NoWrites(), _NothingDue())
    metrics.watch_control_plane(_NothingHandedIn())
    own = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for metric in registry.collect()
        if not metric.name.startswith(("process_", "python_"))
    }
    prefixes = "agentspec|controller_runtime|workqueue|rest_client|leader_election"
    listed = set(re.findall(rf"`((?:{prefixes})_[a-z_]+)[`{{]", OPERATOR))
    assert listed == own


def test_every_doubt_is_listed_with_what_it_makes_of_a_total() -> None:
    rows = re.findall(r"^\| ([A-Za-z]+) \| (\w+) \| [^|]+ \|$", OPERATOR, re.MULTILINE)
    listed = {row for row in rows if row[0] in set(Reason)}
    given = set(Reason) - OF_PROGRAMS_TO_COME
    assert listed == {(str(reason), str(completeness_of([reason]))) for reason in given}


def test_the_answer_in_the_agents_page_is_one_that_counts() -> None:
    block = re.search(r"```json\n(.*?)```", AGENTS, re.DOTALL)
    assert block is not None
    (snapshot,) = decode_usage(block[1].encode()).snapshots
    assert snapshot.instance_id is not None
    assert snapshot.totals.total == 5230
    assert snapshot.rows[0].key == SeriesKey("anthropic", "claude-sonnet-4-5")


@pytest.mark.parametrize(
    ("command", "wide"),
    [
        pytest.param("kubectl get agentobservations -n demo", False, id="table"),
        pytest.param("kubectl get agentobservations -n demo -o wide", True, id="wide"),
    ],
)
def test_the_transcript_in_the_readme_has_the_columns_of_the_definition(
    command: str, wide: bool
) -> None:
    definition = yaml.safe_load((ROOT / "crds" / "agentobservations.yaml").read_text())
    columns = definition["spec"]["versions"][0]["additionalPrinterColumns"]
    shown = [c["name"].upper() for c in columns if wide or not c.get("priority")]
    lines = README.read_text().splitlines()
    header = lines[lines.index(f"$ {command}") + 1]
    assert header.split() == ["NAME", *shown]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=str(page.relative_to(ROOT)))
        for page in (README, *sorted((ROOT / "docs").glob("*.md")))
    ],
)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []
