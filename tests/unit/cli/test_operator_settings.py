"""Where the operator's settings come from, and what a bad one says."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from agentspec_usage.cli.main import build_parser
from agentspec_usage.cli.operator import PREFIX
from agentspec_usage.cli.settings import add_flags, read_settings, variable
from agentspec_usage.controller.settings import OperatorSettings
from agentspec_usage.errors import SettingsError


def settings(*flags: str, **variables: str) -> OperatorSettings:
    parser = argparse.ArgumentParser()
    add_flags(parser, OperatorSettings, PREFIX)
    environment = {variable(PREFIX, name): value for name, value in variables.items()}
    return read_settings(OperatorSettings, parser.parse_args(flags), PREFIX, environment)


def test_nothing_said_means_the_defaults() -> None:
    assert settings() == OperatorSettings()


def test_a_variable_wins_over_the_default_and_a_flag_over_the_variable() -> None:
    assert settings(write_budget="5").write_budget == 5
    assert settings("--write-budget", "7", write_budget="5").write_budget == 7


@pytest.mark.parametrize(
    ("flags", "variables", "expected"),
    [
        pytest.param(["--no-leader-elect"], {}, False, id="negated flag"),
        pytest.param(["--leader-elect"], {"leader_elect": "false"}, True, id="flag over variable"),
        pytest.param([], {"leader_elect": "false"}, False, id="variable"),
    ],
)
def test_a_switch_can_be_set_both_ways(
    flags: list[str], variables: dict[str, str], expected: bool
) -> None:
    assert settings(*flags, **variables).leader_elect is expected


@pytest.mark.parametrize(
    ("text", "namespaces"),
    [
        pytest.param("a,b", ("a", "b"), id="two"),
        pytest.param(" a , b,", ("a", "b"), id="blanks and a trailing comma"),
        pytest.param("", (), id="empty means the whole cluster"),
    ],
)
def test_namespaces_are_separated_by_commas(text: str, namespaces: tuple[str, ...]) -> None:
    assert settings("--namespaces", text).namespaces == namespaces
    assert settings(namespaces=text).namespaces == namespaces


@pytest.mark.parametrize(
    ("flags", "variables", "parts"),
    [
        pytest.param(
            ["--write-budget", "0"], {}, ["--write-budget", "'0'", "greater than 0"], id="flag"
        ),
        pytest.param(
            [],
            {"scrape_timeout": "soon"},
            ["AGENTSPEC_OPERATOR_SCRAPE_TIMEOUT", "'soon'", "a valid number"],
            id="variable",
        ),
        pytest.param(
            ["--namespaces", "ok,Not_OK"], {}, ["--namespaces", "'Not_OK'", "pattern"], id="item"
        ),
        pytest.param(
            ["--log-format", "xml"], {}, ["--log-format", "'xml'", "'json' or 'text'"], id="choice"
        ),
        pytest.param(
            ["--scrape-concurrency", "4", "--namespace-concurrency", "9"],
            {},
            ["namespace_concurrency 9", "scrape_concurrency 4"],
            id="two that do not fit",
        ),
        pytest.param(["--namespaces", "a,a"], {}, ["a,a", "twice"], id="a namespace twice"),
    ],
)
def test_a_bad_value_is_named_with_its_origin_and_what_was_expected(
    flags: list[str], variables: dict[str, str], parts: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(*flags, **variables)
    message = str(caught.value)
    for part in parts:
        assert part in message
    assert "Value error" not in message


def test_every_setting_has_a_flag_a_variable_and_a_description_in_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args(["operator", "--help"])
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, field in OperatorSettings.model_fields.items():
        assert "--" + name.replace("_", "-") in shown
        assert variable(PREFIX, name) in shown
        assert field.description
        assert len(field.description) > 8


_WITHOUT_PYDANTIC = """
import sys
sys.modules["pydantic"] = None
from agentspec_usage.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["operator"], id="bare"),
        pytest.param(["operator", "--namespaces", "a", "--no-leader-elect"], id="with flags"),
    ],
)
def test_without_its_extra_the_command_says_the_line_that_installs_it(
    arguments: list[str],
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _WITHOUT_PYDANTIC, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert "pip install 'agentspec-usage[operator]'" in ran.stderr
    assert "Traceback" not in ran.stderr
