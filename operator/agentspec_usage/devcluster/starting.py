"""From nothing to a cluster that answers, and back; for a caller that holds the directory's lock.

Order matters twice. etcd starts first, because the API server waits for it. The API server stops
first, because one that lost its etcd waits in its graceful stop for writes that never end, its port
taken.

Every process is written down right after it starts. A program killed in between leaves a server
that no file knows; it is found by the argument that names its directory.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import httpx

from agentspec_usage.devcluster import api, processes
from agentspec_usage.devcluster.errors import StartError
from agentspec_usage.devcluster.kubeconfig import kubeconfig_of
from agentspec_usage.devcluster.servers import (
    apiserver_arguments,
    controller_manager_arguments,
    data_argument,
    etcd_arguments,
    free_port,
    last_lines,
)
from agentspec_usage.devcluster.state import (
    APISERVER,
    CONTROLLER_MANAGER,
    ETCD,
    GUARD,
    ClusterState,
    Layout,
    write_private,
)

__all__ = [
    "fresh_state",
    "remove_remains",
    "runs",
    "start_apiserver",
    "start_guard",
    "start_servers",
    "stop_apiserver",
]

_PORT_ATTEMPTS: Final = 5
_POLL_SECONDS: Final = 0.05
_PORT_TAKEN: Final = "address already in use"
_STOP_ORDER: Final = (CONTROLLER_MANAGER, APISERVER, ETCD)
_GRACE_SECONDS: Final = 10.0
"""An API server that is killed after it loses nothing: the data is etcd's."""


def fresh_state(name: str, *, durable: bool) -> ClusterState:
    """A cluster that has not started yet: its own token, a port that is free now."""
    return ClusterState(
        name=name,
        port=free_port(),
        token=secrets.token_urlsafe(32),
        started=time.time(),
        durable=durable,
    )


def start_servers(state: ClusterState, layout: Layout, *, wait_seconds: float) -> ClusterState:
    """Start what does not run yet, and wait until the API server is ready."""
    deadline = time.monotonic() + wait_seconds
    if not runs(state, ETCD):
        state = _start(state, layout, ETCD, etcd_arguments(state, layout))
    if not runs(state, APISERVER):
        state = _start_on_a_free_port(state, layout, deadline)
    try:
        with api.connect(state, layout) as client:
            state = replace(state, version=api.server_version(client), ready=True)
            api.ensure_namespace(client, "default")
    except httpx.HTTPError as error:
        raise StartError(f"the API server was ready and then did not answer: {error}") from error
    _write_kubeconfig(state, layout)
    if state.controller_manager and not runs(state, CONTROLLER_MANAGER):
        arguments = controller_manager_arguments(state, layout)
        state = _start(state, layout, CONTROLLER_MANAGER, arguments)
    state.write(layout)
    return state


def start_apiserver(state: ClusterState, layout: Layout, *, wait_seconds: float) -> ClusterState:
    """Start the API server where it was: same port, same certificate, same data."""
    offset = _size(layout, APISERVER)
    state = _start(state, layout, APISERVER, apiserver_arguments(state, layout))
    if not _becomes_ready(state, layout, time.monotonic() + wait_seconds, offset):
        raise StartError(f"port {state.port} of 127.0.0.1, which the API server had, is taken")
    return state


def stop_apiserver(state: ClusterState, layout: Layout) -> ClusterState:
    _stop(state, layout, APISERVER)
    kept = {name: who for name, who in state.processes.items() if name != APISERVER}
    state = replace(state, processes=kept)
    state.write(layout)
    return state


def remove_remains(layout: Layout) -> None:
    """End every process of this directory, whether a file knows it or not, and all they wrote.

    The lock stays, since the caller holds it. The state goes last: a removal that is interrupted
    leaves a directory that is still known for a cluster's.
    """
    state = ClusterState.read(layout)
    guard = state.processes.get(GUARD) if state else None
    # The guard calls this too, and must not end itself half-way.
    if guard and guard.pid != os.getpid():
        processes.stop(guard, grace=_GRACE_SECONDS)
    for program in _STOP_ORDER:
        _stop(state, layout, program)
    for path in layout.directory.iterdir():
        if path in (layout.lock, layout.state):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    layout.state.unlink(missing_ok=True)


def start_guard(state: ClusterState, layout: Layout) -> tuple[ClusterState, int]:
    """Tie the cluster to this process; returns the descriptor whose closing ends the cluster.

    The guard waits for the end of a pipe. The kernel closes the other end when this process ends,
    in whatever way. Started before any server, so that there is no moment without it.
    """
    watched, held = os.pipe()
    try:
        identity = processes.start(
            [sys.executable, "-m", "agentspec_usage.devcluster.guard", str(layout.directory)],
            directory=layout.directory,
            log=layout.log(GUARD),
            stdin=watched,
            # The interpreter may have found this package in a way that the environment decided.
            environment={"PYTHONPATH": os.pathsep.join(sys.path)},
        )
    finally:
        os.close(watched)
    state = replace(state, processes={**state.processes, GUARD: identity})
    state.write(layout)
    return state, held


def runs(state: ClusterState, program: str) -> bool:
    """Whether this very process is still there."""
    identity = state.processes.get(program)
    return identity is not None and processes.is_running(identity)


def _start_on_a_free_port(state: ClusterState, layout: Layout, deadline: float) -> ClusterState:
    for attempt in range(_PORT_ATTEMPTS):
        if attempt:
            state = replace(state, port=free_port())
        write_private(layout.tokens, f"{state.token},admin,admin,system:masters\n")
        offset = _size(layout, APISERVER)
        state = _start(state, layout, APISERVER, apiserver_arguments(state, layout))
        if _becomes_ready(state, layout, deadline, offset):
            return state
    raise StartError(f"no free port of 127.0.0.1 found in {_PORT_ATTEMPTS} attempts")


def _becomes_ready(state: ClusterState, layout: Layout, deadline: float, offset: int) -> bool:
    """False if the port was taken; any other end is an error with the server's last words."""
    while True:
        for program in (ETCD, APISERVER):
            if runs(state, program):
                continue
            said = last_lines(layout.log(program), offset=offset if program == APISERVER else 0)
            if program == APISERVER and _PORT_TAKEN in said:
                return False
            raise StartError(f"{program} ended by itself. It last said:\n{said}")
        if layout.certificate.exists() and api.is_ready(state, layout):
            return True
        if time.monotonic() > deadline:
            said = last_lines(layout.log(APISERVER), offset=offset)
            raise StartError(f"the API server was not ready in time. It last said:\n{said}")
        time.sleep(_POLL_SECONDS)


def _start(
    state: ClusterState, layout: Layout, program: str, arguments: Sequence[str]
) -> ClusterState:
    identity = processes.start(arguments, directory=layout.directory, log=layout.log(program))
    state = replace(state, processes={**state.processes, program: identity})
    state.write(layout)
    return state


def _write_kubeconfig(state: ClusterState, layout: Layout) -> None:
    write_private(layout.kubeconfig, kubeconfig_of(state, layout, token=state.token))


def _stop(state: ClusterState | None, layout: Layout, program: str) -> None:
    known = state.processes.get(program) if state else None
    strays = processes.find_by_argument(data_argument(program, layout))
    for identity in dict.fromkeys((known, *strays) if known else strays):
        processes.stop(identity, grace=_GRACE_SECONDS)


def _size(layout: Layout, program: str) -> int:
    try:
        return layout.log(program).stat().st_size
    except FileNotFoundError:
        return 0
