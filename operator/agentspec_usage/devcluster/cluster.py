"""A real API server on loopback: up, down, and what one does with it in between.

A cluster *is* its directory. ``up`` on a directory whose servers run returns that cluster; on one
with half a start, a crash or a reboot behind it, it ends what is left, clears it and starts anew.
Only processes that were started for this very directory are ever signalled, and only this cluster's
address is ever contacted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import httpx

from agentspec_usage.devcluster import api
from agentspec_usage.devcluster.binaries import Binaries
from agentspec_usage.devcluster.commands import run
from agentspec_usage.devcluster.errors import DevclusterError, NotRunningError
from agentspec_usage.devcluster.kubeconfig import kubeconfig_of
from agentspec_usage.devcluster.locking import exclusive
from agentspec_usage.devcluster.progress import Progress
from agentspec_usage.devcluster.starting import (
    fresh_state,
    remove_remains,
    runs,
    start_apiserver,
    start_guard,
    start_servers,
    stop_apiserver,
)
from agentspec_usage.devcluster.state import (
    APISERVER,
    CONTROLLER_MANAGER,
    ETCD,
    ClusterState,
    Layout,
    unfinished_path,
    write_private,
)

__all__ = ["Cluster", "Options", "down", "find", "up"]


@dataclass(frozen=True, slots=True)
class Options:
    """How to start; a cluster that runs already keeps what it was started with.

    ``durable=False`` lets etcd skip fsync: faster, and lost in a power cut. ``tied=True`` ends the
    cluster with the process that called ``up``, however that process ends.
    """

    controller_manager: bool = False
    durable: bool = True
    tied: bool = False
    wait_seconds: float = 60.0


DEFAULTS: Final = Options()


@dataclass(slots=True)
class Cluster:
    """A running cluster. Its state is in the directory; this is only a way to it."""

    directory: Path
    binaries: Binaries
    _tie: int | None = field(default=None, repr=False)

    @property
    def _layout(self) -> Layout:
        return Layout(self.directory)

    @property
    def state(self) -> ClusterState:
        """As it is now, whoever changed it."""
        return _running(self._layout)

    @property
    def url(self) -> str:
        return self.state.url

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._layout.kubeconfig

    @property
    def environment(self) -> Mapping[str, str]:
        """What a client program gets instead of the caller's environment: it knows this cluster and
        no other.

        HOME is inside the cluster's directory, so caches and plugins of the user's are out of reach
        too.
        """
        home = self.directory / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        return {"KUBECONFIG": str(self.kubeconfig), "HOME": str(home), "PATH": "/usr/bin:/bin"}

    def client(self) -> httpx.Client:
        """An HTTP client with the administrator's token; the caller closes it."""
        return api.connect(self.state, self._layout)

    def ensure_namespace(self, name: str) -> None:
        """The namespace with its ``default`` ServiceAccount, made if missing."""
        with self.client() as client:
            api.ensure_namespace(client, name)

    def service_account_kubeconfig(
        self, namespace: str, service_account: str, path: Path, *, seconds: int = 86_400
    ) -> Path:
        """Write a kubeconfig (mode 0600) with the ServiceAccount's rights and no more."""
        with self.client() as client:
            token = api.create_token(client, namespace, service_account, seconds)
        write_private(path, kubeconfig_of(self.state, self._layout, token=token))
        return path

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60.0) -> str:
        """What kubectl printed; a :class:`CommandError` if it failed."""
        program = self.binaries.path("kubectl")
        return run(program, arguments, self.environment, stdin=stdin, timeout=timeout)

    def helm(self, *arguments: str, stdin: str | None = None, timeout: float = 120.0) -> str:
        """What helm printed; a :class:`CommandError` if it failed."""
        program = self.binaries.path("helm")
        return run(program, arguments, self.environment, stdin=stdin, timeout=timeout)

    def stop_apiserver(self) -> None:
        """Stop the API server alone; etcd keeps the data."""
        with _locked(self._layout, Progress(None)):
            stop_apiserver(self.state, self._layout)

    def start_apiserver(self, *, wait_seconds: float = 60.0) -> None:
        """Start it again, on the same port with the same certificate and data."""
        with _locked(self._layout, Progress(None)):
            state = self.state
            if not runs(state, APISERVER):
                start_apiserver(state, self._layout, wait_seconds=wait_seconds)

    def down(self) -> None:
        """Stop every server and remove the directory."""
        down(self.directory)
        if self._tie is not None:
            os.close(self._tie)
            self._tie = None


def up(
    directory: Path,
    binaries: Binaries,
    *,
    name: str = "devcluster",
    options: Options = DEFAULTS,
    progress: Progress | None = None,
) -> Cluster:
    """The cluster of this directory: the one that runs, or a new one."""
    progress = progress or Progress(None)
    layout = Layout(directory.absolute())
    _refuse_strangers(layout)
    wanted = (ETCD, APISERVER, *((CONTROLLER_MANAGER,) if options.controller_manager else ()))
    paths = {program: str(path) for program, path in binaries.ensure(wanted).items()}
    with _locked(layout, progress):
        layout.directory.chmod(0o700)
        state, tie = _living(layout), None
        is_new = state is None
        progress.begin(f"{'starting' if is_new else 'finding'} the cluster in {layout.directory}")
        try:
            if state is None:
                remove_remains(layout)
                state = fresh_state(name, durable=options.durable)
                state.write(layout)
                if options.tied:
                    state, tie = start_guard(state, layout)
            state = replace(
                state,
                binaries={**state.binaries, **paths},
                controller_manager=state.controller_manager or options.controller_manager,
            )
            start_servers(state, layout, wait_seconds=options.wait_seconds)
        except BaseException:
            # An interrupt too: half a cluster is none. One that ran before keeps its data.
            if is_new:
                _remove(layout)
            if tie is not None:
                os.close(tie)
            raise
        progress.end("ready")
    return Cluster(layout.directory, binaries, tie)


def find(directory: Path, binaries: Binaries) -> Cluster | None:
    """The cluster that runs in this directory, if one does."""
    layout = Layout(directory.absolute())
    return Cluster(layout.directory, binaries) if _living(layout) else None


def down(directory: Path, *, progress: Progress | None = None) -> bool:
    """End whatever was started for this directory and remove it; False if there was nothing."""
    layout = Layout(directory.absolute())
    _refuse_strangers(layout)
    if not layout.directory.exists():
        return False
    with _locked(layout, progress or Progress(None)):
        found = layout.state.exists()
        _remove(layout)
    return found


def _locked(layout: Layout, progress: Progress) -> AbstractContextManager[int]:
    return exclusive(layout.lock, progress.waiting_for(f"starts or stops {layout.directory}"))


def _living(layout: Layout) -> ClusterState | None:
    """The state of a cluster that was ready once and still has its data's server.

    The API server may be stopped meanwhile; `up` then starts it on the same data.
    """
    state = ClusterState.read(layout)
    return state if state and state.ready and runs(state, ETCD) else None


def _remove(layout: Layout) -> None:
    remove_remains(layout)
    layout.lock.unlink()
    layout.directory.rmdir()


def _running(layout: Layout) -> ClusterState:
    if state := _living(layout):
        return state
    raise NotRunningError(f"no cluster runs in {layout.directory}")


def _refuse_strangers(layout: Layout) -> None:
    """A directory that is not a cluster's is not cleared."""
    if not layout.directory.exists() or layout.state.exists():
        return
    ours = {layout.lock, unfinished_path(layout.state)}
    if strangers := set(layout.directory.iterdir()) - ours:
        raise DevclusterError(
            f"{layout.directory} is not a cluster's directory (it has {min(strangers).name!r}): "
            "name an empty or a new one"
        )
