"""Settings of the control plane: what contradicts itself is refused, and keys fail closed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from agentspec_usage.controlplane.settings import ControlPlaneSettings

COMMAND = Path(sys.executable).with_name("agentspec-usage")


def run(
    *arguments: str, directory: Path, admin_key: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": ""}
    if admin_key is not None:
        environment["AGENTSPEC_CONTROLPLANE_ADMIN_KEY"] = admin_key
    return subprocess.run(
        [COMMAND, "controlplane", f"--database={directory / 'usage.db'}", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )


def test_a_rate_above_the_burst_is_refused_with_both_values() -> None:
    with pytest.raises(ValidationError, match="request_burst 5 is below request_rate 9"):
        ControlPlaneSettings(request_rate=9, request_burst=5)


def test_there_is_no_flag_for_the_admin_key() -> None:
    assert "admin_key" not in ControlPlaneSettings.model_fields


@pytest.mark.parametrize(
    ("content", "named"),
    [
        pytest.param(None, "expected a file with the admin key", id="missing"),
        pytest.param("", "at least 16 characters", id="empty"),
        pytest.param("short\n", "at least 16 characters", id="short"),
    ],
)
def test_an_admin_key_file_that_holds_none_ends_it_at_once(
    tmp_path: Path, content: str | None, named: str
) -> None:
    file = tmp_path / "admin-key"
    if content is not None:
        file.write_text(content)
    done = run(f"--admin-key-file={file}", directory=tmp_path, admin_key="of the environment, good")
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert named in done.stderr
    assert not (tmp_path / "usage.db").exists()


def test_a_short_admin_key_in_the_environment_is_named_and_not_shown(tmp_path: Path) -> None:
    done = run(directory=tmp_path, admin_key="hunter2")
    assert done.returncode == 2
    assert "AGENTSPEC_CONTROLPLANE_ADMIN_KEY" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("--port=70000",), "--port '70000'", id="port"),
        pytest.param(("--commit-wait=0",), "--commit-wait '0'", id="commit wait"),
        pytest.param(("--zone=Mars",), "--zone 'Mars': expected a time zone", id="zone"),
        pytest.param(
            ("--operator-service-account=operator",),
            "--operator-service-account 'operator'",
            id="account without a namespace",
        ),
        pytest.param(
            ("--operator-key-file=no-such-file",),
            "no-such-file: expected a file with the operator key",
            id="operator key",
        ),
        pytest.param(("--address=192.0.2.1",), "192.0.2.1:8000", id="address of another machine"),
    ],
)
def test_a_value_that_cannot_be_is_named_without_a_traceback(
    tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    done = run(*arguments, directory=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
