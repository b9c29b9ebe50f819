"""How each server is told to serve loopback alone, and how one finds out that it does.

* etcd listens on Unix sockets inside the cluster's private directory, not on ports: it has no
  password, so any port of it would hand the whole cluster to every user of the machine.
* The API server makes its own certificate, and signs service-account tokens with that certificate's
  key, as it did by default before it had a flag for it: nothing here has to make keys.
* Every path is relative to the cluster's directory, where the servers run. A Unix socket's path has
  room for 107 bytes, which a temporary directory easily exceeds.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

from agentspec_usage.devcluster.state import CONTROLLER_MANAGER, ETCD, ClusterState, Layout

__all__ = [
    "apiserver_arguments",
    "controller_manager_arguments",
    "data_argument",
    "etcd_arguments",
    "free_port",
    "last_lines",
]

_ETCD_URL = "unix://etcd.sock"
_PEER_URL = "unix://peer.sock"
_SIGNING_KEY = "certs/apiserver.key"
_FIRST_PORT = 20000
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def data_argument(program: str, layout: Layout) -> str:
    """The argument that only this cluster's ``program`` has: it names the directory.

    Absolute, unlike the other paths, so that the process can be recognised without its pid.
    """
    match program:
        case "etcd":
            return f"--data-dir={layout.directory / ETCD}"
        case "kube-apiserver":
            return f"--cert-dir={layout.certificate.parent}"
        case _:
            return f"--kubeconfig={layout.kubeconfig}"


def etcd_arguments(state: ClusterState, layout: Layout) -> list[str]:
    arguments = [
        state.binaries[ETCD],
        f"--name={ETCD}",
        data_argument(ETCD, layout),
        f"--listen-client-urls={_ETCD_URL}",
        f"--advertise-client-urls={_ETCD_URL}",
        f"--listen-peer-urls={_PEER_URL}",
        f"--initial-advertise-peer-urls={_PEER_URL}",
        f"--initial-cluster={ETCD}={_PEER_URL}",
    ]
    # What a cluster for one test run keeps need not survive a power cut.
    return arguments if state.durable else [*arguments, "--unsafe-no-fsync"]


def apiserver_arguments(state: ClusterState, layout: Layout) -> list[str]:
    return [
        state.binaries["kube-apiserver"],
        f"--etcd-servers={_ETCD_URL}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={state.port}",
        "--external-hostname=localhost",
        # The kubernetes Service would need an endpoint, and endpoints refuse loopback addresses.
        "--endpoint-reconciler-type=none",
        data_argument("kube-apiserver", layout),
        f"--token-auth-file={layout.tokens.name}",
        "--authorization-mode=RBAC",
        "--anonymous-auth=false",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-signing-key-file={_SIGNING_KEY}",
        f"--service-account-key-file={_SIGNING_KEY}",
        "--service-cluster-ip-range=10.96.0.0/16",
    ]


def controller_manager_arguments(state: ClusterState, layout: Layout) -> list[str]:
    return [
        state.binaries[CONTROLLER_MANAGER],
        data_argument(CONTROLLER_MANAGER, layout),
        # Authentication and authorisation of its own port are never used: the port is off.
        "--secure-port=0",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={_SIGNING_KEY}",
        "--leader-elect=false",
    ]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now.

    Below the range from which the kernel gives ports to outgoing connections: inside it, a port
    that the API server has left for a restart could be taken by any connection of the machine
    meanwhile.
    """
    highest = min(int(_PORT_RANGE.read_text().split()[0]), 65536)
    for candidate in random.sample(range(_FIRST_PORT, max(highest, _FIRST_PORT + 2000)), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return candidate
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def last_lines(log: Path, *, offset: int = 0, count: int = 15) -> str:
    """The end of a log, of what was written after ``offset``."""
    try:
        with log.open("rb") as stream:
            stream.seek(offset)
            text = stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-count:])
