"""The sidecar as a process: its upstreams, and what it is started with."""

from __future__ import annotations

import json
from pathlib import Path

from examples.demo.manifests import SIDECAR_PORT, SamplePod
from examples.demo.processes import PROGRAM

__all__ = ["PROXY_PORT", "sidecar_command"]

PROXY_PORT = 4000


def sidecar_command(
    pod: SamplePod, home: Path, provider: str, control_plane: str, key: str
) -> list[str]:
    """The command; its files are in ``home``."""
    upstreams, key_file = home / "upstreams.yaml", home / "agent.key"
    upstreams.write_text(json.dumps(_upstreams(provider)))
    key_file.touch(0o600)
    key_file.write_text(key)
    flags = [
        f"--upstreams-file={upstreams}",
        f"--ledger-dir={home / 'ledger'}",
        f"--proxy-address={pod.address}",
        f"--proxy-port={PROXY_PORT}",
        f"--control-address={pod.address}",
        f"--control-port={SIDECAR_PORT}",
        f"--control-plane-url={control_plane}",
        f"--api-key-file={key_file}",
        "--heartbeat-interval=10",  # to look at; 30 s is the default
        "--log-format=text",
    ]
    return [*PROGRAM, "sidecar", *flags]


def _upstreams(provider: str) -> dict[str, object]:
    """One port for both APIs, told apart by the path."""
    return {
        "upstreams": [
            {"prefix": f"/{name}", "provider": name, "url": f"{provider}/{name}"}
            for name in ("openai", "anthropic")
        ]
    }
