"""``make demo``: the story from nothing to a table of tokens, and back to nothing.

Runs until Ctrl-C. With ``DEMO_SECONDS=60`` it ends by itself: the customers leave, the agents end,
and the exit code is 0 only if kubectl, the control plane, the month's statement, the agents
themselves, their sidecars and their provider's bill all say the same, to the last token, and if
``verify`` finds the database unchanged, and a change in a copy of it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx

from agentspec_usage.devcluster import Binaries, Cluster, Options, Places, Progress, up
from agentspec_usage.errors import AgentspecUsageError
from examples.demo.cast import AGENTS
from examples.demo.comparing import Shown, shown_until
from examples.demo.control_plane import DATABASE, running_control_plane
from examples.demo.customers import Customers
from examples.demo.manifests import pods_of
from examples.demo.pods import running_pods
from examples.demo.processes import stop
from examples.demo.provider import running_provider
from examples.demo.screen import Screen
from examples.demo.stage import Stage, create_agents, install, start_operator
from examples.demo.verdict import changes_are_found, numbers_are_equal
from examples.demo.views import WIDE_COMMAND, control_plane_view, kubectl_view

_SETTLE_SECONDS = 20.0
_PROVIDER, _CONTROL_PLANE = 201, 202
"""The last byte of their addresses; the pods count from 1."""


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
        else:
            equal = numbers_are_equal(stage, _SETTLE_SECONDS)
            if changes_are_found(stage) and equal:
                return 0
        print(f"\nThe log ends with\n{_tail(log)}", file=sys.stderr)
        return 1


def _set_up(cluster: Cluster, log: Path, ends: ExitStack, progress: Progress) -> Stage:
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
    operator = start_operator(cluster, control_plane, log)
    ends.callback(stop, [operator])
    running.wait()
    create_agents(cluster, pods)
    # What an agent uses before anybody knows who pays for it is charged to nobody.
    shown_until(cluster, _somebody_pays, _SETTLE_SECONDS)
    progress.end()
    customers = Customers(pods)
    ends.callback(customers.leave)
    begin = datetime.now(UTC)
    customers.come()
    return Stage(cluster, provider, control_plane, pods, running, customers, operator, begin)


def _somebody_pays(shown: Mapping[str, Shown]) -> bool:
    """Whether the control plane was told for all of them: it has answered."""
    readable = (shown[agent.name] for agent in AGENTS if agent.readable)
    return all(one.cost_center and one.charged is not None for one in readable)


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


def _introduce(stage: Stage) -> None:
    cluster, control_plane = stage.cluster, stage.control_plane
    print("\nCustomers ask these agents, and the operator reads them every few seconds:")
    for agent in AGENTS:
        print(f"  {agent.name:<13}{agent.shows}")
    kubectl = "kubectl" if shutil.which("kubectl") else str(cluster.binaries.path("kubectl"))
    print("\nIn a second terminal:")
    print(f"  export KUBECONFIG={cluster.kubeconfig}")
    print(f"  {kubectl} {WIDE_COMMAND.removeprefix('kubectl ')}")
    print(f'  curl -H "X-Admin-Key: $(cat {control_plane.admin_key_file})" \\')
    print(f"    {control_plane.url}/api/v1/agents")
    program = Path(sys.executable).with_name("agentspec-usage")
    print(f"  {program} statement --month {stage.begin:%Y-%m} \\")
    print(f"    --database {control_plane.directory / DATABASE}\n", flush=True)


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
