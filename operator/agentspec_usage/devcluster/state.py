"""What a cluster's directory holds, and the one file that remembers its processes.

.. code-block:: text

    <directory>/        0700
        cluster.json    name, port, options, processes; replaced whole, never half-written
        lock            one `up` or `down` at a time
        kubeconfig      for people and programs
        token.csv       the administrator's token, for the API server
        etcd/ certs/    data and certificate: what a restart of the API server keeps
        *.sock          etcd's sockets: it has no port
        *.log           what each server said
        home/           the HOME of clients that are run through the cluster

The file is written before anything starts and after every start, so whoever finds it knows what to
end.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from agentspec_usage.devcluster.errors import DevclusterError
from agentspec_usage.devcluster.processes import ProcessIdentity

__all__ = [
    "APISERVER",
    "CONTROLLER_MANAGER",
    "ETCD",
    "GUARD",
    "ClusterState",
    "Layout",
    "unfinished_path",
    "write_private",
]

ETCD: Final = "etcd"
APISERVER: Final = "kube-apiserver"
CONTROLLER_MANAGER: Final = "kube-controller-manager"
GUARD: Final = "guard"
"""The process that ends the others when the program which started them is gone."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths inside a cluster's directory."""

    directory: Path

    @property
    def state(self) -> Path:
        return self.directory / "cluster.json"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def tokens(self) -> Path:
        return self.directory / "token.csv"

    @property
    def certificate(self) -> Path:
        return self.directory / "certs" / "apiserver.crt"

    def log(self, program: str) -> Path:
        return self.directory / f"{program}.log"


@dataclass(frozen=True, slots=True)
class ClusterState:
    """``started`` is in seconds since the epoch; ``binaries`` and ``processes`` have the program as
    key.

    ``ready`` says that the cluster once answered; before that, whatever is there is half a start.
    """

    name: str
    port: int
    token: str
    started: float
    version: str = ""
    durable: bool = True
    controller_manager: bool = False
    ready: bool = False
    binaries: dict[str, str] = field(default_factory=dict)
    processes: dict[str, ProcessIdentity] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def write(self, layout: Layout) -> None:
        write_private(layout.state, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, layout: Layout) -> ClusterState | None:
        """The state in the directory; None if there is none."""
        try:
            text = layout.state.read_text()
        except FileNotFoundError:
            return None
        try:
            document: dict[str, Any] = json.loads(text)
            processes = {
                name: ProcessIdentity(**identity)
                for name, identity in document.pop("processes").items()
            }
            # Another release may have written more; its cluster can still be shown and stopped.
            known = {one.name for one in fields(cls)} & document.keys()
            return cls(**{name: document[name] for name in known}, processes=processes)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DevclusterError(
                f"{layout.state} is not a cluster's state ({error}): "
                f"remove {layout.directory} if nothing in it is wanted"
            ) from error


def unfinished_path(path: Path) -> Path:
    """Where a file is written before it takes its name."""
    return path.with_name(f".{path.name}.new")


def write_private(path: Path, text: str) -> None:
    """Replace the file whole; at no time can anybody else read it."""
    unfinished = unfinished_path(path)
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    unfinished.replace(path)
