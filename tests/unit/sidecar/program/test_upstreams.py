"""The upstreams file says where requests may go, in YAML or JSON, and a mistake in it is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from agentspec_usage.errors import SettingsError
from agentspec_usage.sidecar.budget.limits import Window
from agentspec_usage.sidecar.program import run_sidecar
from agentspec_usage.sidecar.proxy.settings import Upstream
from agentspec_usage.sidecar.settings import SidecarSettings
from agentspec_usage.sidecar.upstreams import read_upstreams

YAML = """
upstreams:
  - {prefix: /openai/v1, provider: openai, url: "https://api.openai.com/v1"}
  - prefix: /local
    provider: vllm
    url: http://10.0.0.7:8000
    surface: openai.chat
    injectIncludeUsage: false
    timeoutSeconds: 30
budgets: {window: utc-month, softTokens: 900, hardTokens: 1000}
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "upstreams"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_names_upstreams_and_budgets(tmp_path: Path) -> None:
    file = read_upstreams(written(tmp_path, YAML))
    assert [entry.upstream() for entry in file.upstreams] == [
        Upstream("openai", "https://api.openai.com/v1", "/openai/v1"),
        Upstream("vllm", "http://10.0.0.7:8000", "/local", "openai.chat", False, 30.0),
    ]
    assert file.budgets.window is Window.MONTH
    assert (file.budgets.soft_tokens, file.budgets.hard_tokens) == (900, 1000)


def test_json_is_taken_as_well(tmp_path: Path) -> None:
    document = {"upstreams": [{"provider": "anthropic", "url": "https://api.anthropic.com"}]}
    file = read_upstreams(written(tmp_path, json.dumps(document)))
    assert file.upstreams[0].upstream() == Upstream("anthropic", "https://api.anthropic.com")
    assert not file.budgets.thresholds()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("upstreams: [", "expected YAML or JSON", id="no document"),
        pytest.param("[]", "file", id="no object"),
        pytest.param("upstreams: []", "upstreams", id="no upstream"),
        pytest.param("upstreams: [{url: 'http://a'}]", "upstreams.0.provider", id="no provider"),
        pytest.param(
            "upstreams: [{provider: openai, url: 'ftp://a'}]", "upstreams.0.url", id="no http"
        ),
        pytest.param(
            "upstreams: [{provider: openai, url: 'https://u:p@a/v1'}]",
            "without user",
            id="a password",
        ),
        pytest.param(
            "upstreams: [{provider: openai, url: 'https://a', prefix: openai}]",
            "upstreams.0.prefix",
            id="a prefix that is no path",
        ),
        pytest.param(
            "upstreams: [{provider: a, url: 'http://a'}, {provider: b, url: 'http://b'}]",
            "stands twice",
            id="a prefix twice",
        ),
        pytest.param(
            "upstreams: [{provider: a, url: 'http://a', retries: 3}]",
            "upstreams.0.retries",
            id="a name that is not known",
        ),
        pytest.param(
            "{upstreams: [{provider: a, url: 'http://a'}], budgets: {hardTokens: 0}}",
            "budgets.hardTokens",
            id="a budget of nothing",
        ),
        pytest.param(
            "upstreams: [{provider: a, url: 'http://a', surface: openai.chats}]",
            "upstreams.0.surface: expected one of .*openai.chat,",
            id="a surface that is not known",
        ),
        pytest.param("a: !!python/object:os.system {}", "expected YAML", id="an object of code"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError, match=named) as raised:
        read_upstreams(path)
    assert str(path) in str(raised.value)


def test_a_password_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    path = written(tmp_path, "upstreams: [{provider: openai, url: 'https://u:hunter2@a'}]")
    with pytest.raises(SettingsError) as raised:
        read_upstreams(path)
    assert "hunter2" not in str(raised.value)


def test_a_password_in_the_one_address_is_not_repeated() -> None:
    settings = SidecarSettings(upstream_url="https://u:hunter2@a")
    with pytest.raises(SettingsError, match="upstream_url: expected a URL without") as raised:
        run_sidecar(settings, "")
    assert "hunter2" not in str(raised.value)


def test_an_address_beside_a_file_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as raised:
        SidecarSettings(upstream_url="https://u:hunter2@a", upstreams_file="upstreams.yaml")
    assert "hunter2" not in raised.value.errors()[0]["msg"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected the upstreams file"):
        read_upstreams(tmp_path / "none")
