"""What a pod's environment says to the SDK, and what it may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentspec_usage.errors import SettingsError
from agentspec_usage.sdk import Reporter
from agentspec_usage.sdk.environment import SdkEnvironment, read_environment

PLANE = {"AGENTSPEC_CONTROL_PLANE_URL": "http://plane:8000"}
SECRET = "agt-secret-key"


def test_an_environment_that_says_nothing_makes_a_reporter_that_only_counts() -> None:
    assert read_environment({}) == SdkEnvironment()
    reporter = Reporter.from_environment(environment={})
    reporter.ledger.record("openai/gpt-4o", 100, 20)
    assert not reporter.pushing
    assert reporter.snapshots()[0].totals.total == 120


def test_every_variable_is_read() -> None:
    said = read_environment(
        {
            **PLANE,
            "AGENTSPEC_API_KEY": SECRET,
            "AGENTSPEC_PUSH_INTERVAL": "2.5",
            "AGENTSPEC_SHARED_DIRECTORY": "/run/agentspec",
            "AGENTSPEC_SPOOL_DIRECTORY": "/spool",
            "AGENTSPEC_TERMINATION_LOG": "/dev/termination-log",
        }
    )
    assert said == SdkEnvironment(
        control_plane_url="http://plane:8000",
        api_key=SECRET,
        push_interval=2.5,
        shared_directory=Path("/run/agentspec"),
        spool_directory=Path("/spool"),
        termination_log=Path("/dev/termination-log"),
    )


def test_a_key_comes_from_a_file_where_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    said = read_environment({**PLANE, "AGENTSPEC_API_KEY_FILE": str(file)})
    assert said.api_key == SECRET


def test_beside_a_sidecar_no_key_is_read() -> None:
    said = read_environment(
        {
            **PLANE,
            "AGENTSPEC_SIDECAR_URL": "http://127.0.0.1:4001",
            "AGENTSPEC_API_KEY_FILE": "/not/there",
        }
    )
    assert said.pushes
    assert (said.sidecar_url, said.api_key) == ("http://127.0.0.1:4001", "")


def test_a_key_is_not_shown() -> None:
    assert SECRET not in repr(read_environment({**PLANE, "AGENTSPEC_API_KEY": SECRET}))


@pytest.mark.parametrize(
    ("said", "named"),
    [
        pytest.param(PLANE, "AGENTSPEC_API_KEY: expected the agent's key", id="no key"),
        pytest.param(
            {**PLANE, "AGENTSPEC_API_KEY": "k", "AGENTSPEC_API_KEY_FILE": "/not/there"},
            "AGENTSPEC_API_KEY_FILE '/not/there': expected a file",
            id="a key file that is not there",
        ),
        pytest.param(
            {**PLANE, "AGENTSPEC_API_KEY_FILE": "/dev/null"},
            "AGENTSPEC_API_KEY_FILE '/dev/null': expected the agent's key",
            id="an empty key file",
        ),
        pytest.param(
            {"AGENTSPEC_SIDECAR_URL": SECRET},
            "AGENTSPEC_SIDECAR_URL: expected a URL",
            id="no URL of a sidecar",
        ),
        pytest.param(
            {"AGENTSPEC_CONTROL_PLANE_URL": SECRET},
            "AGENTSPEC_CONTROL_PLANE_URL: expected a URL",
            id="no URL of a control plane",
        ),
        *(
            pytest.param(
                {"AGENTSPEC_PUSH_INTERVAL": text},
                f"AGENTSPEC_PUSH_INTERVAL '{text}': expected a number of seconds above 0",
                id=f"an interval of {text}",
            )
            for text in ("soon", "0", "-1", "inf", "nan")
        ),
    ],
)
def test_what_cannot_be_used_is_an_error_that_names_the_variable_and_no_secret(
    said: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        read_environment(said)
    assert str(refused.value).startswith(named)
    assert SECRET not in str(refused.value)
