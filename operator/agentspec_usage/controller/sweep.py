"""The sweep: now and then, a metadata-only LIST of all objects against the register.

A watch can miss. kopf does not report objects that vanished while it listed anew, and a watch that
died silently reports nothing at all. The sweep drops ghosts, takes in what was missed, and counts
what it found: a number above zero twice in a row means that the watch does not work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from agentspec_usage.controller.intake import Intake
from agentspec_usage.controller.register import Register
from agentspec_usage.errors import ClusterError

__all__ = ["ObjectLister", "Sweep"]

logger = logging.getLogger(__name__)


class ObjectLister(Protocol):
    """Lists objects by metadata, and reads one whole."""

    async def list_observation_metadata(
        self, namespaces: Sequence[str] = ()
    ) -> Sequence[Mapping[str, Any]]: ...

    async def get_observation(self, namespace: str, name: str) -> Mapping[str, Any] | None: ...


class Sweep:
    """``drift`` gets the number of objects that the watch had wrong, for each sweep."""

    def __init__(
        self,
        *,
        register: Register,
        intake: Intake,
        cluster: ObjectLister,
        namespaces: Sequence[str],
        drift: Callable[[int], None],
    ) -> None:
        self._register = register
        self._intake = intake
        self._cluster = cluster
        self._namespaces = namespaces
        self._drift = drift

    async def run(self, interval: float) -> None:
        """Sweep every ``interval`` seconds until cancelled."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.once()
            except ClusterError as error:
                logger.warning("a sweep failed", extra={"reason": str(error)})

    async def once(self) -> int:
        """One sweep; the number of objects that the watch had wrong."""
        known_before = {record.uid: record.resource_version for record in self._register}
        listed = await self._cluster.list_observation_metadata(self._namespaces)
        there = {str(entry["metadata"]["uid"]): entry["metadata"] for entry in listed}
        wrong = 0
        for uid in known_before.keys() - there.keys():
            if self._register.get(uid) is not None:
                wrong += 1
                self._intake.drop(uid)
        for uid, metadata in there.items():
            record = self._register.get(uid)
            # Behind only if it was behind before the list and still is: else an event is coming.
            behind = record is None or (
                record.resource_version == known_before.get(uid)
                and int(record.resource_version) < int(metadata["resourceVersion"])
            )
            if not behind:
                continue
            body = await self._cluster.get_observation(
                str(metadata["namespace"]), str(metadata["name"])
            )
            if body is not None and self._intake.take(body) is not None:
                wrong += 1
        self._drift(wrong)
        if wrong:
            logger.warning("the watch had objects wrong", extra={"objects": wrong})
        return wrong
