"""What the verbs of ``agentspec-usage devcluster`` do.

``up`` leaves the cluster running when it returns; ``down`` ends it and removes its data. Progress
goes to standard error, answers to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from agentspec_usage.devcluster import Binaries, Cluster, Options, Places, Progress, down, find, up
from agentspec_usage.devcluster.processes import is_running
from agentspec_usage.devcluster.programs import PROGRAMS
from agentspec_usage.devcluster.progress import duration
from agentspec_usage.errors import UsageError

__all__ = ["VERBS"]


def _binaries(*, ignore_room: bool = False) -> Binaries:
    places = Places.from_environment(os.environ)
    return Binaries(places, os.environ, Progress(sys.stderr), ignore_room)


def _directory(arguments: argparse.Namespace) -> Path:
    if arguments.dir is not None:
        return Path(arguments.dir)
    return Places.from_environment(os.environ).clusters / str(arguments.name)


def _cluster(arguments: argparse.Namespace) -> Cluster | None:
    found = find(_directory(arguments), _binaries())
    if found is None:
        print(f"no cluster runs in {_directory(arguments)}", file=sys.stderr)
    return found


def _up(arguments: argparse.Namespace) -> int:
    _end_like_an_interrupt()
    options = Options(controller_manager=arguments.controller_manager, wait_seconds=arguments.wait)
    binaries = _binaries()
    cluster = up(
        _directory(arguments),
        binaries,
        name=arguments.name,
        options=options,
        progress=binaries.progress,
    )
    print(f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    directory = _directory(arguments)
    ended = down(directory, progress=Progress(sys.stderr))
    print(f"stopped and removed {directory}" if ended else f"no cluster in {directory}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    cluster = _cluster(arguments)
    if cluster is None:
        if arguments.output == "json":
            print(json.dumps({"running": False, "directory": str(_directory(arguments))}))
        return 1
    facts = _facts(cluster)
    if arguments.output == "json":
        print(json.dumps(facts, indent=2))
    else:
        print(f"url         {facts['url']}")
        print(f"version     {facts['version']}")
        print(f"age         {duration(facts['ageSeconds'])}")
        print(f"kubeconfig  {facts['kubeconfig']}")
        for name, pid in facts["processes"].items():
            print(f"process     {name} {'not running' if pid is None else pid}")
    return 0


def _facts(cluster: Cluster) -> dict[str, Any]:
    state = cluster.state
    return {
        "running": True,
        "name": state.name,
        "directory": str(cluster.directory),
        "url": state.url,
        "version": state.version,
        "ageSeconds": round(time.time() - state.started),
        "kubeconfig": str(cluster.kubeconfig),
        "binaries": state.binaries,
        "processes": {
            name: identity.pid if is_running(identity) else None
            for name, identity in state.processes.items()
        },
    }


def _kubeconfig(arguments: argparse.Namespace) -> int:
    cluster = _cluster(arguments)
    if cluster is None:
        return 1
    print(cluster.kubeconfig.read_text() if arguments.raw else cluster.kubeconfig)
    return 0


def _kubectl(arguments: argparse.Namespace) -> int:
    cluster = _cluster(arguments)
    if cluster is None:
        return 1
    program = cluster.binaries.path("kubectl")
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    os.execve(program, [str(program), *arguments.arguments], environment)


def _build(arguments: argparse.Namespace) -> int:
    _end_like_an_interrupt()
    known = [program.name for program in PROGRAMS]
    wanted = arguments.programs or known
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"no program is called {unknown[0]!r}: it is one of {', '.join(known)}")
    for name, path in _binaries(ignore_room=arguments.ignore_room).ensure(wanted).items():
        print(f"{name} {path}")
    return 0


def _end_like_an_interrupt() -> None:
    """SIGTERM, too, ends a build or a start cleanly, with nothing half-made left."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


VERBS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "kubeconfig": _kubeconfig,
    "kubectl": _kubectl,
    "build": _build,
}
