"""A real Kubernetes API server and etcd on loopback: no containers, no root, nobody's kubeconfig.

For people who try the project and for its tests, which run the same code.
"""

from agentspec_usage.devcluster.binaries import Binaries
from agentspec_usage.devcluster.cluster import Cluster, Options, down, find, up
from agentspec_usage.devcluster.errors import (
    BuildError,
    CommandError,
    DevclusterError,
    NotRunningError,
    RoomError,
    StartError,
    ToolchainError,
)
from agentspec_usage.devcluster.places import Places
from agentspec_usage.devcluster.progress import Progress

__all__ = [
    "Binaries",
    "BuildError",
    "Cluster",
    "CommandError",
    "DevclusterError",
    "NotRunningError",
    "Options",
    "Places",
    "Progress",
    "RoomError",
    "StartError",
    "ToolchainError",
    "down",
    "find",
    "up",
]
