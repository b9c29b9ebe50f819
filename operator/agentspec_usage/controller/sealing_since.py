"""Since when statuses are sealed with the key at hand, remembered in the operator's Lease.

The first operator that leads with a new key finds statuses without its seal, and they are right.
One that leads later finds them too, when somebody stripped a seal while nobody looked. What tells
the two apart has to stand where whoever writes statuses cannot write, and the operator has one such
place already: its Lease. An annotation there names the key and the highest resourceVersion of any
AgentObservation at the moment when that key was first used; a status that was written later must be
sealed. It stays as it is while the key is at hand, also as the previous one, so a rotation gives
nobody a second chance to be believed without a seal.

An operator without a key removes it: what is written meanwhile bears no seal, and the next key
begins anew. So does a key when the one that is noted is not at hand, which means that it was lost.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from agentspec_usage.errors import ClusterError
from agentspec_usage.kube.errors import ApiError
from agentspec_usage.kube.lease import LeasePort
from agentspec_usage.wire.writer_state_seal import SealKeys

__all__ = ["ANNOTATION", "sealing_since"]

logger = logging.getLogger(__name__)

ANNOTATION = "agentspec.io/sealed-since"

_TRIES = 8
"""The Lease is renewed meanwhile, every two seconds: one conflict is likely, a second is not."""


class _Beginning(NamedTuple):
    """What the annotation says."""

    key_id: str
    version: int

    def __str__(self) -> str:
        return f"{self.key_id}/{self.version}"


async def sealing_since(
    keys: SealKeys | None,
    leases: LeasePort,
    namespace: str,
    name: str,
    *,
    highest_version: Callable[[], Awaitable[int]],
) -> int:
    """The resourceVersion up to which a status needs no seal, noted in the Lease of this name.

    For the leader, before it reads any status. ``highest_version`` looks at every AgentObservation;
    it is asked only when a key is first used. Raises ``ClusterError`` when the Lease cannot be
    written.
    """
    for _ in range(_TRIES):
        lease = await leases.get_lease(namespace, name)
        if lease is None:
            break
        noted = _noted(lease)
        if keys is None:
            wanted = None
        elif noted is not None and keys.named(noted.key_id) is not None:
            wanted = _Beginning(keys.current.id, noted.version)
        else:
            wanted = _Beginning(keys.current.id, await highest_version())
        if wanted == noted or await _note(leases, namespace, name, lease, wanted):
            _say(noted, wanted, keys)
            return wanted.version if wanted is not None else 0
    raise ClusterError(f"lease {namespace}/{name}: since when statuses are sealed was not noted")


async def _note(
    leases: LeasePort,
    namespace: str,
    name: str,
    lease: Mapping[str, Any],
    wanted: _Beginning | None,
) -> bool:
    """Put ``wanted`` into the Lease, if it still stands as it was read."""
    annotations = dict(lease["metadata"].get("annotations") or {})
    annotations.pop(ANNOTATION, None)
    if wanted is not None:
        annotations[ANNOTATION] = str(wanted)
    metadata = {**lease["metadata"], "annotations": annotations}
    try:
        await leases.update_lease(namespace, name, {**lease, "metadata": metadata})
    except ApiError as error:
        if error.status != 409:
            raise
        return False
    return True


def _say(noted: _Beginning | None, wanted: _Beginning | None, keys: SealKeys | None) -> None:
    """Whatever is believed without a seal is worth a line."""
    if wanted is None or keys is None:
        return
    about = {"key": wanted.key_id, "since": wanted.version}
    if noted is None:
        logger.info("statuses are sealed from now on; those that stand are believed", extra=about)
    elif keys.named(noted.key_id) is None:
        logger.warning(
            "statuses were sealed with a key that is not at hand; those that stand are believed",
            extra=about | {"lost": noted.key_id},
        )


def _noted(lease: Mapping[str, Any]) -> _Beginning | None:
    """What the annotation says; None for none, and for what no operator wrote."""
    text = str((lease["metadata"].get("annotations") or {}).get(ANNOTATION) or "")
    key_id, _, version = text.partition("/")
    if not key_id or not (version.isascii() and version.isdigit()):
        return None
    return _Beginning(key_id, int(version))
