"""Showing remote agents, put together: of several control planes the holder of a Lease does it.

Without one each of them would do it, and harm nothing but the API server's time.
"""

from __future__ import annotations

import socket
from collections.abc import Coroutine
from typing import Any, Protocol

from agentspec_usage.controlplane.cluster import ClusterApi
from agentspec_usage.controlplane.leading import while_leading
from agentspec_usage.controlplane.metrics import Metrics
from agentspec_usage.controlplane.remote_charges import RemoteCharges
from agentspec_usage.controlplane.remote_objects import RemoteObjects
from agentspec_usage.controlplane.rounds import every
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.kube.lease import Elector, LeaseTerms
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.runtime.ids import draw_128_bits
from agentspec_usage.store.observed import ObservationStore
from agentspec_usage.store.remote import RemoteAgents

__all__ = ["RemoteStore", "show_remote_agents"]


class RemoteStore(RemoteAgents, ObservationStore, Protocol):
    """A store that knows agents that push, and what they are charged."""


async def show_remote_agents(
    settings: ControlPlaneSettings,
    store: RemoteStore,
    cluster: ClusterApi,
    clock: Clock,
    metrics: Metrics,
) -> None:
    """Keep the objects of ``settings.remote_namespace`` up to date, until cancelled."""
    namespace = settings.remote_namespace
    charges = RemoteCharges(store, clock, settings.zone_info, namespace)

    def work() -> Coroutine[Any, Any, None]:
        # Each term begins with nothing: what another control plane wrote meanwhile is read again.
        objects = RemoteObjects(
            store,
            charges.of,
            cluster,
            clock,
            draw_128_bits,
            namespace=namespace,
            silence=settings.remote_silence,
            per_second=settings.remote_write_rate,
            on_write=metrics.status_written,
        )
        return every(settings.remote_interval, objects.round, "remote agents")

    if not settings.lease:
        await work()
        return
    lease_namespace, _, name = settings.lease.partition("/")
    terms = LeaseTerms(lease_namespace, name, f"{socket.gethostname()}-{draw_128_bits()[:8]}")
    await while_leading(lambda: Elector(cluster, terms, clock), work)
