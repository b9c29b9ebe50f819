"""Where the operator's seal keys come from, and what stops it when they do not come."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agentspec_usage.cli.operator import seal_keys_of
from agentspec_usage.controller.settings import OperatorSettings
from agentspec_usage.errors import SettingsError
from agentspec_usage.wire.writer_state_seal import SealKey, SealKeys

KEY, OLDER = "k" * 32, "o" * 32


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A mounted Secret: two keys, a short one, and bytes that are no text."""
    (tmp_path / "key").write_text(KEY + "\n")
    (tmp_path / "previous").write_text(OLDER)
    (tmp_path / "short").write_text("k" * 31)
    (tmp_path / "binary").write_bytes(b"\xff" * 64)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        pytest.param({}, None, id="no key"),
        pytest.param({"seal_key_file": "key"}, SealKeys(SealKey.of(KEY)), id="one key"),
        pytest.param(
            {"seal_key_file": "key", "previous_seal_key_file": "previous"},
            SealKeys(SealKey.of(KEY), SealKey.of(OLDER)),
            id="two keys",
        ),
        pytest.param(
            {"seal_key_file": "key", "previous_seal_key_file": "absent"},
            SealKeys(SealKey.of(KEY)),
            id="never rotated",
        ),
        pytest.param(
            {"seal_key_file": "absent", "seal_required": False}, None, id="none, and none required"
        ),
    ],
)
def test_the_keys_are_those_in_the_files(
    files: Path, given: dict[str, str | bool], keys: SealKeys | None
) -> None:
    assert seal_keys_of(settings(files, given)) == keys


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"seal_key_file": "absent"}, r"absent.*--no-seal-required", id="no file"),
        pytest.param({"seal_key_file": "short"}, "short: a seal key of 31", id="a short key"),
        pytest.param(
            {"seal_key_file": "short", "seal_required": False},
            "short: a seal key of 31",
            id="a short key, though none is required",
        ),
        pytest.param({"seal_key_file": "binary"}, "binary: expected a file", id="no text"),
        pytest.param({"seal_key_file": "."}, "expected a file with a seal key", id="a directory"),
        pytest.param(
            {"seal_key_file": "key", "previous_seal_key_file": "short"},
            "short: a seal key of 31",
            id="a short previous key",
        ),
    ],
)
def test_a_key_that_cannot_be_had_is_an_error_that_names_the_file(
    files: Path, given: dict[str, str | bool], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        seal_keys_of(settings(files, given))


def settings(files: Path, given: dict[str, str | bool]) -> OperatorSettings:
    paths = {
        name: str(files / value) if isinstance(value, str) else value
        for name, value in given.items()
    }
    return OperatorSettings.model_validate(paths)


def test_a_key_needs_the_lease_which_remembers_since_when_it_is_used() -> None:
    with pytest.raises(ValueError, match="leader_elect is off"):
        OperatorSettings(seal_key_file="key", leader_elect=False)


def test_the_command_ends_before_it_asks_the_api_server_anything(files: Path) -> None:
    command = [sys.executable, "-m", "agentspec_usage.cli.main", "operator"]
    flags = [f"--seal-key-file={files / 'absent'}", "--lease-namespace=default"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--no-seal-required" in done.stderr
