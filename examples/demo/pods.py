"""The pods' processes, as a kubelet would run them: each at its pod's address, with an environment
of its own, a sidecar before its agent and until after it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from examples.demo.control_plane import ControlPlane
from examples.demo.manifests import AGENT_PORT, SIDECAR_PORT, SamplePod
from examples.demo.processes import start, stop, wait_until_listening
from examples.demo.provider import Provider
from examples.demo.sidecar import PROXY_PORT, sidecar_command

__all__ = ["RunningPods", "running_pods"]


@dataclass(frozen=True, slots=True)
class _Container:
    pod: SamplePod
    port: int
    process: subprocess.Popen[bytes]


class RunningPods:
    """The processes of every pod."""

    def __init__(self, provider: Provider, control_plane: ControlPlane, log: Path) -> None:
        self._provider = provider
        self._control_plane = control_plane
        self._log = log
        self._sidecars: list[_Container] = []
        self._agents: list[_Container] = []

    def start(self, pod: SamplePod, directory: Path, key: str) -> None:
        """Start the pod's processes; it may take a while until they listen."""
        home = directory / pod.name
        home.mkdir(parents=True)
        models, pushing = self._provider.url, {}
        if pod.agent.sidecar:
            command = sidecar_command(pod, home, self._provider.url, self._control_plane.url, key)
            process = start(command, log=self._log, environment={"HOME": str(home)})
            self._sidecars.append(_Container(pod, SIDECAR_PORT, process))
            models = f"http://{pod.address}:{PROXY_PORT}"
            pushing = {"AGENTSPEC_SIDECAR_URL": pod.sidecar_url}
        elif key:
            pushing = {
                "AGENTSPEC_CONTROL_PLANE_URL": self._control_plane.url,
                "AGENTSPEC_API_KEY": key,
            }
        environment = {
            "HOME": str(home),
            "TMPDIR": str(home),
            "OPENAI_API_KEY": pod.agent.name,
            "OPENAI_BASE_URL": f"{models}/openai/v1",
            "ANTHROPIC_API_KEY": pod.agent.name,
            "ANTHROPIC_BASE_URL": f"{models}/anthropic",
            "AGENTSPEC_SHARED_DIRECTORY": str(home / "workers"),
            "AGENTSPEC_PUSH_INTERVAL": "10",  # to look at; 30 s is the default
            **pushing,
        }
        process = start(_agent_command(pod), log=self._log, environment=environment)
        self._agents.append(_Container(pod, AGENT_PORT, process))

    def wait(self) -> None:
        """Until all of them listen. Raises TimeoutError."""
        for one in (*self._sidecars, *self._agents):
            wait_until_listening(one.pod.address, one.port, one.process)

    def stop(self) -> None:
        """End them: what pushes pushes its end. A second call does nothing."""
        for containers in (self._agents, self._sidecars):
            stop([one.process for one in containers])
            containers.clear()


@contextmanager
def running_pods(
    pods: Sequence[SamplePod],
    directory: Path,
    log: Path,
    provider: Provider,
    control_plane: ControlPlane,
) -> Iterator[RunningPods]:
    """Start the pods; they end with the block at the latest."""
    keys = {
        agent.name: control_plane.register(agent.name)
        for agent in dict.fromkeys(pod.agent for pod in pods)
        if agent.registered
    }
    running = RunningPods(provider, control_plane, log)
    try:
        for pod in pods:
            running.start(pod, directory, keys.get(pod.agent.name, ""))
        yield running
    finally:
        running.stop()


def _agent_command(pod: SamplePod) -> list[str]:
    agent = pod.agent
    app = f"examples.agents.{agent.module}:app"
    if agent.workers == 1:
        options = [f"--host={pod.address}", f"--port={AGENT_PORT}", "--log-level=warning"]
        return ["-m", "uvicorn", app, *options]
    options = [
        f"--bind={pod.address}:{AGENT_PORT}",
        f"--workers={agent.workers}",
        "--preload",
        "--config=python:examples.demo.tethered",
        "--log-level=warning",
        "--no-control-socket",
    ]
    return ["-m", "gunicorn", app, *options]
