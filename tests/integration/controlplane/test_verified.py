"""A control plane that signs, agents that report, and somebody who verifies: as users run them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.integration.controlplane.processes import ControlPlane, control_plane
from tests.integration.controlplane.waiting import until
from tests.unit.store.values import frame

COMMAND = Path(sys.executable).with_name("agentspec-usage")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def report(plane: ControlPlane, since: int, last: int) -> None:
    """Report the calls from ``since`` to ``last`` with a new key."""
    answer = httpx.post(
        f"{plane.url}/api/v1/usage/records",
        content=encode_records([encode_frame(frame(since, last))]),
        headers={"Authorization": f"Bearer {plane.register('web')}"},
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "signing.pem", tmp_path / "public.pem"
    done = run("signing-key", "--private-key", private, "--public-key", public)
    assert (done.returncode, done.stderr) == (0, "")
    assert private.stat().st_mode & 0o777 == 0o600
    return private, public


def test_stored_usage_verifies_until_one_byte_of_it_is_changed(
    tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    private, public = keys
    heads = tmp_path / "heads.txt"
    flags = (
        f"--signing-key-file={private}",
        f"--checkpoint-file={heads}",
        "--checkpoint-interval=1",
    )
    with control_plane(tmp_path, *flags) as plane:
        report(plane, 0, 3)
        until(heads.exists, "the first head is signed")
        checked = run("verify", "--database", plane.database, "--public-key", public)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        report(plane, 3, 5)
        assert plane.terminate() == 0
        arguments = ("--database", plane.database, "--public-key", public, "--checkpoint", heads)
        done = run("verify", *arguments)
        assert done.returncode == 0, done.stdout
        assert "5 rows in 2 batches verified" in done.stdout
        assert done.stdout.endswith("2 signed heads\nok\n")

        with closing(sqlite3.connect(plane.database)) as connection:
            connection.execute("UPDATE items SET output = output + 1 WHERE item = 4")
            connection.commit()
        done = run("verify", *arguments)
        assert done.returncode == 1
        assert done.stdout.endswith("CHANGED: row 4: it is not what was accepted\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "expected a usage database", id="no file"),
        pytest.param(b"a letter" * 200, "not a database", id="no database"),
    ],
)
def test_what_cannot_be_verified_is_told_in_a_line(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "usage.db"
    if content is not None:
        path.write_bytes(content)
    done = run("verify", "--database", path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_key_is_never_overwritten(keys: tuple[Path, Path], tmp_path: Path) -> None:
    before = keys[0].read_bytes()
    done = run("signing-key", "--private-key", keys[0], "--public-key", tmp_path / "other.pem")
    assert done.returncode == 2
    assert "expected a file to make" in done.stderr
    assert keys[0].read_bytes() == before
    assert not (tmp_path / "other.pem").exists()


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PRIVATE KEY-----\n"])
def test_a_control_plane_does_not_start_with_a_key_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "signing.pem"
    path.write_text(text)
    done = run("controlplane", f"--database={tmp_path / 'usage.db'}", f"--signing-key-file={path}")
    assert done.returncode == 2
    assert "expected a file with an Ed25519 private key" in done.stderr
