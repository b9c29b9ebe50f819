"""``make demo``: the story from nothing to a table of tokens, and back to nothing.

Runs until Ctrl-C. With ``DEMO_SECONDS=60`` it ends by itself: the customers leave, the agents end,
and the exit code is 0 only if kubectl, the control plane, the agents themselves, their sidecars and
their provider's bill all say the same, to the last token.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx

from agentspec_usage.devcluster import Binaries, Cluster, Options, Places, Progress, up
from agentspec_usage.errors import AgentspecUsageError
from examples.demo.cast import AGENTS
from examples.demo.comparing import (
    Comparison,
    report,
    said_by_agents,
    said_by_sidecars,
    shown_until_equal,
)
from examples.demo.control_plane import ControlPlane, running_control_plane
from examples.demo.customers import Customers
from examples.demo.manifests import SamplePod, pods_of
from examples.demo.pods import RunningPods, running_pods
from examples.demo.processes import stop
from examples.demo.provider import Provider, running_provider
from examples.demo.screen import Screen
from examples.demo.stage import create_agents, install, start_operator
from examples.demo.views import COMMAND, control_plane_view, kubectl_view

_SETTLE_SECONDS = 20.0
_PROVIDER, _CONTROL_PLANE = 201, 202
"""The last byte of their addresses; the pods count from 1."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """Everything that runs."""

    cluster: Cluster
    provider: Provider
    control_plane: ControlPlane
    pods: Sequence[SamplePod]
    running: RunningPods
    customers: Customers
    operator: subprocess.Popen[bytes]


def main() -> int:
    """The exit code."""
    progress = Progress(sys.stderr)
    try:
        _check_machine()
        seconds = _seconds(os.environ.get("DEMO_SECONDS", ""))
        with _ending_cleanly():
            return _play(seconds, progress)
    except KeyboardInterrupt:
        progress.say("stopped; nothing is left running")
        return 0 if not os.environ.get("DEMO_SECONDS") else 130
    except (AgentspecUsageError, TimeoutError, httpx.HTTPError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _play(seconds: float | None, progress: Progress) -> int:
    with ExitStack() as ends:
        cluster = ends.enter_context(_cluster(progress))
        log = cluster.directory / "demo.log"
        ends.push(partial(_show_log_of_failure, log))
        stage = _set_up(cluster, log, ends, progress)
        _introduce(stage)
        views = [
            partial(kubectl_view, cluster),
            partial(control_plane_view, stage.control_plane),
        ]
        screen = Screen(views, sys.stdout)
        screen.show_while(lambda: stage.operator.poll() is None, seconds)
        if stage.operator.poll() is not None:
            print(f"the operator has ended with code {stage.operator.returncode}", file=sys.stderr)
        elif _numbers_are_equal(stage, screen):
            return 0
        print(f"\nThe log ends with\n{_tail(log)}", file=sys.stderr)
        return 1


def _set_up(cluster: Cluster, log: Path, ends: ExitStack, progress: Progress) -> _Stage:
    """Start everything; ``ends`` ends it, the last one first."""
    network, directory = _network(), cluster.directory
    pods = pods_of(AGENTS, network)
    progress.begin(f"starting the control plane and {len(AGENTS)} agents with {len(pods)} pods")
    provider = ends.enter_context(running_provider(f"{network}.{_PROVIDER}", directory, log))
    control_plane = ends.enter_context(
        running_control_plane(f"{network}.{_CONTROL_PLANE}", directory, log)
    )
    provider.wait()
    control_plane.wait()
    running = ends.enter_context(
        running_pods(pods, directory / "pods", log, provider, control_plane)
    )
    # While the pods import what they need.
    install(cluster)
    operator = start_operator(cluster, log)
    ends.callback(stop, [operator])
    running.wait()
    create_agents(cluster, pods)
    progress.end()
    customers = Customers(pods)
    ends.callback(customers.leave)
    customers.come()
    return _Stage(cluster, provider, control_plane, pods, running, customers, operator)


def _numbers_are_equal(stage: _Stage, screen: Screen) -> bool:
    stage.customers.leave()
    said, by_sidecars = said_by_agents(stage.pods), said_by_sidecars(stage.pods)
    shown = shown_until_equal(stage.cluster, {**said, **by_sidecars}, _SETTLE_SECONDS)
    # Now: an operator that still reads agents which have ended says so.
    screen.show()
    stage.running.stop()
    stored, billed = stage.control_plane.stored(), stage.provider.bill()
    comparisons = [
        Comparison(
            agent,
            shown[agent.name],
            billed.get(agent.name),
            said.get(agent.name),
            by_sidecars.get(agent.name),
            stored[agent.name].tokens if agent.name in stored else None,
        )
        for agent in AGENTS
    ]
    print(report(comparisons), flush=True)
    for question in stage.customers.unanswered:
        print(f"a question was not answered: {question}", file=sys.stderr)
    return all(one.holds for one in comparisons) and not stage.customers.unanswered


@contextmanager
def _cluster(progress: Progress) -> Iterator[Cluster]:
    binaries = Binaries(Places.from_environment(os.environ), os.environ, progress)
    binaries.ensure(("etcd", "kube-apiserver"))
    directory = Path(tempfile.mkdtemp(prefix="agentspec-usage-demo-"))
    try:
        cluster = up(
            directory,
            binaries,
            name="demo",
            options=Options(durable=False, tied=True),
            progress=progress,
        )
        try:
            binaries.ensure(("kubectl",))
            yield cluster
        finally:
            cluster.down()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demo like Ctrl-C, and a second Ctrl-C does not stop
    the end."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in endings:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    endings = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in endings:
        signal.signal(number, interrupt)
    yield


def _show_log_of_failure(
    log: Path, kind: type[BaseException] | None, _error: object, _traceback: object
) -> None:
    """The log goes with the demo's directory, so what it says of a failure is said before."""
    if kind is not None and issubclass(kind, Exception):
        print(f"\nThe log ends with\n{_tail(log)}", file=sys.stderr)


def _introduce(stage: _Stage) -> None:
    cluster, control_plane = stage.cluster, stage.control_plane
    print("\nCustomers ask these agents, and the operator reads them every few seconds:")
    for agent in AGENTS:
        print(f"  {agent.name:<13}{agent.shows}")
    kubectl = "kubectl" if shutil.which("kubectl") else str(cluster.binaries.path("kubectl"))
    print("\nIn a second terminal:")
    print(f"  export KUBECONFIG={cluster.kubeconfig}")
    print(f"  {kubectl} {COMMAND.removeprefix('kubectl ')} -o wide")
    print(f'  curl -H "X-Admin-Key: $(cat {control_plane.key_file})" \\')
    print(f"    {control_plane.url}/api/v1/agents\n", flush=True)


def _check_machine() -> None:
    if sys.platform != "linux":
        raise AgentspecUsageError(
            f"this is {sys.platform}, and the demo needs Linux: "
            "no other system routes all of 127.0.0.0/8, where the sample pods live"
        )


def _network() -> str:
    """Three bytes of 127.0.0.0/8 that two demos at once do not share."""
    return f"127.{1 + os.getpid() // 256 % 254}.{os.getpid() % 256}"


def _seconds(text: str) -> float | None:
    if not text:
        return None
    if not text.isdecimal():
        raise AgentspecUsageError(f"DEMO_SECONDS is {text!r}: a number of seconds is expected")
    return float(text)


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


if __name__ == "__main__":
    sys.exit(main())
