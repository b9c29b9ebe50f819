"""The operator under measurement: the real program, as its ServiceAccount, with default settings.

The only flags beside its defaults say where things are (kubeconfig, Lease, health port on loopback)
and that agents live on loopback here.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from agentspec_usage.devcluster import Cluster
from bench.child import ROOT
from bench.measuring import OperatorSample

__all__ = ["OperatorProcess"]

_NAMESPACE, _ACCOUNT = "agentspec-system", "agentspec-usage"
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


class OperatorProcess:
    """From start to SIGTERM, as a context. ``profile`` is a file for the profiler."""

    def __init__(self, cluster: Cluster, log: Path, profile: Path | None = None) -> None:
        kubeconfig = cluster.service_account_kubeconfig(
            _NAMESPACE, _ACCOUNT, cluster.directory / "operator.kubeconfig"
        )
        self.port = _free_port()
        self._log = log
        profiled = ["bench.profiled", str(profile)] if profile else ["agentspec_usage.cli.main"]
        command = [
            sys.executable,
            "-m",
            "bench.tethered",
            "-m",
            *profiled,
            "operator",
            f"--kubeconfig={kubeconfig}",
            f"--lease-namespace={_NAMESPACE}",
            "--allow-loopback",
            "--health-address=127.0.0.1",
            f"--health-port={self.port}",
        ]
        self.started = time.monotonic()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"HOME": cluster.environment["HOME"], "PATH": cluster.environment["PATH"]},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def sample(self) -> OperatorSample:
        return OperatorSample.of(self.pid, self.port)

    def start_profile(self) -> None:
        self._process.send_signal(signal.SIGUSR1)

    def wait_until_served(self) -> None:
        """Until /metrics answers."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self.sample()
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"the operator did not start:\n{self._log.read_text()[-3000:]}")

    def __enter__(self) -> OperatorProcess:
        self.wait_until_served()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
