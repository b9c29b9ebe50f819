"""The ConfigMap in which signed heads are kept: out of reach of whoever has only the database.

The cluster's administrators and its audit log see each write of it, and the account of the control
plane may write this one and no other. It proves nothing against somebody who has both: have it
copied where neither reaches (``kubectl get configmap … -o jsonpath={.data.checkpoints}``).

A ConfigMap holds a megabyte, so heads are thinned out with age: every one of the last hour, then
the last of each UTC day, then the last of each month. A head covers everything before it, so what
thinning takes is how closely the moment of a change can be told, and not that it shows.

What is there and is no list of heads is never written over: it may be all that is left of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agentspec_usage.errors import ClusterError, UsageError
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint, split_checkpoints

__all__ = ["ConfigMaps", "HeadConfigMap", "next_heads"]

_NEWEST, _DAYS, _MONTHS = 60, 400, 600
"""Heads of each age: at a minute each an hour, a year and a month, fifty years. A text has about
350 bytes, so that all of them are 370 kB."""


class ConfigMaps(Protocol):
    """The API server, as far as this needs it. Raises ApiError, 409 when somebody was faster."""

    async def get_config_map(self, namespace: str, name: str) -> Mapping[str, Any] | None: ...

    async def create_config_map(
        self, namespace: str, config_map: Mapping[str, Any]
    ) -> Mapping[str, Any]: ...

    async def update_config_map(
        self, namespace: str, name: str, config_map: Mapping[str, Any]
    ) -> Mapping[str, Any]: ...


class HeadConfigMap:
    """Keeps heads in the ConfigMap ``name``, under ``checkpoints``; the newest also by itself."""

    place = "configmap"

    def __init__(self, config_maps: ConfigMaps, namespace: str, name: str) -> None:
        self._config_maps = config_maps
        self._namespace = namespace
        self._name = name

    async def keep(self, newest: SignedCheckpoint) -> None:
        """Have ``newest`` in it. Raises ``ClusterError``."""
        there = await self._config_maps.get_config_map(self._namespace, self._name)
        kept = self._read(there)
        heads = next_heads(kept, newest)
        if heads == kept:
            return
        text = "".join(head.text for head in heads)
        data = {"newest": heads[-1].text, "checkpoints": text}
        if there is None:
            await self._config_maps.create_config_map(
                self._namespace, _config_map(self._namespace, self._name, data)
            )
            return
        changed = {**there, "data": {**(there.get("data") or {}), **data}}
        await self._config_maps.update_config_map(self._namespace, self._name, changed)

    def _read(self, config_map: Mapping[str, Any] | None) -> tuple[SignedCheckpoint, ...]:
        text = ((config_map or {}).get("data") or {}).get("checkpoints", "")
        if not text:
            return ()
        try:
            return tuple(split_checkpoints(text))
        except UsageError as error:
            raise ClusterError(
                f"ConfigMap {self._namespace}/{self._name}, checkpoints: {error}; it is left as it "
                "is: keep a copy, then delete it"
            ) from error


def next_heads(
    kept: Sequence[SignedCheckpoint], newest: SignedCheckpoint
) -> tuple[SignedCheckpoint, ...]:
    """``kept``, the oldest first, with ``newest`` at its end if it is not in it, thinned out."""
    if newest in kept:
        return tuple(kept)
    heads = (*kept, newest)
    older, recent = heads[:-_NEWEST], heads[-_NEWEST:]
    days = _last_of_each(older, len("2026-11-22"))
    months = _last_of_each(days[:-_DAYS], len("2026-11"))
    return (*months[-_MONTHS:], *days[-_DAYS:], *recent)


def _last_of_each(heads: Sequence[SignedCheckpoint], digits: int) -> tuple[SignedCheckpoint, ...]:
    """The last head of each period of a ledger; periods have the same first ``digits`` of time."""
    last = {
        (head.checkpoint.ledger, to_rfc3339(head.checkpoint.at)[:digits]): head for head in heads
    }
    return tuple(sorted(last.values(), key=lambda head: head.checkpoint.at))


def _config_map(namespace: str, name: str, data: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {
                "app.kubernetes.io/part-of": "agentspec-usage",
                "app.kubernetes.io/component": "controlplane",
            },
        },
        "data": dict(data),
    }
