"""``make demo``: the story from nothing to a table of tokens, and back to nothing.

Runs until Ctrl-C. With ``DEMO_SECONDS=60`` it ends by itself: the agents stop calling models and
say what they used, and the exit code is 0 only if kubectl says the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from agentspec_usage.devcluster import Binaries, Cluster, Options, Places, Progress, up
from agentspec_usage.errors import AgentspecUsageError
from examples.demo.cast import AGENTS
from examples.demo.comparing import compare_until_equal, report, silence
from examples.demo.manifests import SamplePod, pods_of
from examples.demo.processes import SampleProcess, start_pod, stop
from examples.demo.stage import create_agents, install, start_operator
from examples.demo.table import COMMAND, LiveTable

_SETTLE_SECONDS = 20.0


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
    except (AgentspecUsageError, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _play(seconds: float | None, progress: Progress) -> int:
    with ExitStack() as stage:
        cluster = stage.enter_context(_cluster(progress))
        log = cluster.directory / "demo.log"

        progress.begin("applying crds/ and charts/install.yaml")
        install(cluster)
        progress.end()

        pods = pods_of(AGENTS, _network())
        progress.begin(f"starting {len(AGENTS)} agents with {len(pods)} pods")
        agents = stage.enter_context(_agents(pods, log))
        create_agents(cluster, pods)
        progress.end()

        operator = start_operator(cluster, log)
        stage.callback(stop, [operator])

        _introduce(cluster)
        table = LiveTable(cluster, sys.stdout)
        table.show_while(lambda: operator.poll() is None, seconds)
        if operator.poll() is not None:
            print(f"the operator has ended with code {operator.returncode}", file=sys.stderr)
        elif _numbers_are_equal(cluster, table, agents):
            return 0
        print(f"\nThe operator's log ends with\n{_tail(log)}", file=sys.stderr)
        return 1


def _numbers_are_equal(cluster: Cluster, table: LiveTable, agents: list[SampleProcess]) -> bool:
    used = silence(agents)
    comparisons = compare_until_equal(cluster, used, _SETTLE_SECONDS)
    table.show()
    print(report(comparisons), flush=True)
    return all(comparison.holds for comparison in comparisons)


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
def _agents(pods: list[SamplePod], log: Path) -> Iterator[list[SampleProcess]]:
    started: list[SampleProcess] = []
    try:
        for pod in pods:
            started += start_pod(pod, log)
        yield started
    finally:
        stop([sample.process for sample in started])


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


def _introduce(cluster: Cluster) -> None:
    print("\nThe operator reads these agents every few seconds:")
    for agent in AGENTS:
        print(f"  {agent.name:<13}{agent.shows}")
    kubectl = "kubectl" if shutil.which("kubectl") else str(cluster.binaries.path("kubectl"))
    print("\nIn a second terminal:")
    print(f"  export KUBECONFIG={cluster.kubeconfig}")
    print(f"  {kubectl} {COMMAND.removeprefix('kubectl ')} -o wide\n", flush=True)


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
