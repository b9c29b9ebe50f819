"""Where the sidecar's settings and its key come from, and what a bad one says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "agentspec_usage.cli.main", "sidecar")
LEADS_NOWHERE = "http://127.0.0.1:1/v1"


def run(*flags: str, **environment: str) -> str:
    """The one line that a sidecar ends with which cannot begin."""
    done = subprocess.run(
        [*COMMAND, "--proxy-port=0", "--control-port=0", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "environment", "expected"),
    [
        pytest.param((), {}, "expected exactly one of them", id="no upstream"),
        pytest.param(
            ("--upstreams-file=/none",),
            {"UPSTREAM_URL": LEADS_NOWHERE},
            "expected exactly one of them",
            id="two ways to say it, one of them without a prefix",
        ),
        pytest.param(
            ("--upstreams-file=/none",), {}, "/none: No such file", id="a file that is not there"
        ),
        pytest.param(
            ("--upstream-url=ftp://provider",), {}, "expected an http", id="an address of no kind"
        ),
        pytest.param(
            (f"--upstream-url={LEADS_NOWHERE}", "--agent-url=http://10.0.0.7:8080/usage"),
            {},
            "an address of this pod",
            id="an agent outside the pod",
        ),
        pytest.param(
            (f"--upstream-url={LEADS_NOWHERE}", "--control-plane-url=http://plane"),
            {},
            "AGENTSPEC_SIDECAR_API_KEY: expected the agent's key",
            id="no key",
        ),
        pytest.param(
            (
                f"--upstream-url={LEADS_NOWHERE}",
                "--control-plane-url=http://plane",
                "--api-key-file=/none",
            ),
            {},
            "/none: expected a file with the agent's key",
            id="a key file that is not there",
        ),
        pytest.param(
            (f"--upstream-url={LEADS_NOWHERE}", "--control-plane-url=http://me:secret@plane"),
            {"AGENTSPEC_SIDECAR_API_KEY": "key"},
            "control_plane_url: expected a URL without user, query and fragment",
            id="a control plane with a password",
        ),
        pytest.param(
            (f"--upstream-url={LEADS_NOWHERE}", "--audit-ring-size=many"),
            {},
            "--audit-ring-size 'many'",
            id="a number that is none",
        ),
        pytest.param(
            (f"--upstream-url={LEADS_NOWHERE}",),
            {"AUDIT_RING_SIZE": "many"},
            "AGENTSPEC_SIDECAR_AUDIT_RING_SIZE 'many'",
            id="a variable without the prefix",
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    flags: tuple[str, ...], environment: dict[str, str], expected: str
) -> None:
    assert expected in run(*flags, **environment)


def test_a_port_that_is_taken_is_named_and_the_ledger_is_let_go(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = (f"--upstream-url={LEADS_NOWHERE}", f"--ledger-dir={tmp_path}")
        said = run(*flags, f"--proxy-port={port}")
        assert f"127.0.0.1:{port}" in said
        said = run(*flags, "--control-address=127.0.0.1", f"--control-port={port}")
        assert f"127.0.0.1:{port}" in said
